"""Two processes that share a step: the region losses of all their pixels, values and gradients."""

import copy
import os
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed, multiprocessing

from fullconv.nn.losses.step import StepLoss
from fullconv.nn.losses.total import total_with_gradient
from fullconv.spec.loss import LossSpec

REGIONS = {"dice": 1, "tversky": 0.5, "ohem": {"keep": 0.3}, "lovasz": 0.25}


def _share(rank: int, layer: torch.nn.Module, images: torch.Tensor, target: torch.Tensor, meeting: str, out: str) -> None:
    """What each process does: the loss of one image or of two, as a step of training has it."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2, timeout=timedelta(minutes=2))
    shared = torch.nn.parallel.DistributedDataParallel(layer)
    mine = slice(0, 1) if rank == 0 else slice(1, 3)
    step = StepLoss(LossSpec.model_validate(REGIONS), images=3, processes=2, total=total_with_gradient)
    loss = step(shared(images[mine]), target[mine])
    (loss * 2).backward()  # as the training module does, since gradients are averaged
    value = total_with_gradient(loss.detach())
    if rank == 0:
        torch.save([value, *(parameter.grad for parameter in layer.parameters())], out)
    distributed.destroy_process_group()
    if rank == 1:
        os._exit(0)  # gloo's threads may be joined too late and abort a process that has done all it should


def test_dice_of_two_processes_is_dice_of_all_their_pixels(tmp_path: Path) -> None:
    """Images of very different truth, so that the mean of two processes' own Dice would be another number."""
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 3, 1).double()
    images, target = torch.randn(3, 3, 6, 7, dtype=torch.float64), torch.randint(0, 3, (3, 6, 7))
    target[0] = 0
    target[0, 1:] = 255
    jobs = (layer, images, target, f"file://{tmp_path}/meeting", f"{tmp_path}/found")
    # this process is the first of the two: starting one costs seconds
    other = multiprocessing.get_context("spawn").Process(target=_share, args=(1, *jobs))
    other.start()
    _share(0, copy.deepcopy(layer), *jobs[1:])
    other.join()
    assert other.exitcode == 0
    step = StepLoss(LossSpec.model_validate(REGIONS))
    logits = layer(images)
    loss = step(logits, target)
    loss.backward()
    halves = (step(logits[:1], target[:1]) + step(logits[1:], target[1:])) / 2
    assert abs(halves.item() - loss.item()) > 0.01
    for found, expected in zip(torch.load(tmp_path / "found"), [loss, *(p.grad for p in layer.parameters())], strict=True):
        torch.testing.assert_close(found, expected.detach(), rtol=1e-9, atol=1e-12)


def test_alone_there_is_nothing_to_add() -> None:
    value = torch.ones(3, requires_grad=True)
    assert total_with_gradient(value) is value
