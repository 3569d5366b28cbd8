"""A net in processes that were spawned: what they import is torch and the net, so that they start fast."""

import copy
import os
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed, multiprocessing

from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN


def _share(rank: int, model: FCN, images: torch.Tensor, meeting: str, out: str) -> None:
    """What each process does: its image's part of a step."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2, timeout=timedelta(minutes=2))
    shared = torch.nn.parallel.DistributedDataParallel(model)
    shared(images[rank : rank + 1])["semantic"].square().sum().backward()
    if rank == 1:  # what was spawned tells what it found
        torch.save([parameter.grad for parameter in model.parameters()], out)
    distributed.destroy_process_group()
    if rank == 1:
        os._exit(0)  # gloo's threads may be joined too late and abort a process that has done all it should


def test_a_net_goes_to_spawned_processes(tmp_path: Path) -> None:
    """Spawning pickles the net; two processes with an image each average to half the gradient of one with both."""
    torch.manual_seed(0)
    model = build_model("fcn16s-minivgg", classes=3).eval()
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    images = torch.randint(0, 256, (2, 3, 40, 48), dtype=torch.uint8)
    jobs = (images, f"file://{tmp_path}/meeting", f"{tmp_path}/grads")
    # this process is the first of the two: starting one costs seconds
    other = multiprocessing.get_context("spawn").Process(target=_share, args=(1, model, *jobs))
    other.start()
    _share(0, copy.deepcopy(model), *jobs)
    other.join()
    assert other.exitcode == 0
    model(images)["semantic"].square().sum().backward()
    for found, parameter in zip(torch.load(tmp_path / "grads"), model.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(2 * found, parameter.grad, rtol=1e-4, atol=1e-4 * float(parameter.grad.abs().max()))
