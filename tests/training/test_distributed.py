"""Two processes train as one does: without dropout and batch statistics, which are each process's own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import distributed, multiprocessing

from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.nn.losses.step import StepLoss
from fullconv.spec import LossSpec, Recipe
from fullconv.spec.recipe import to_yaml
from fullconv.training.run import train
from fullconv.training.total import total_with_gradient

SCRIPT = """
import sys, torch
from pathlib import Path
from fullconv.spec.recipe import load_recipe
from fullconv.training.run import train
torch.set_num_threads(1)
train(load_recipe(sys.argv[1]), Path(sys.argv[2]))
"""


def test_two_processes_give_the_metrics_of_one(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    changes = {"freeze_batch_norm": True, "validate_every": 3}
    alone = train(tiny(model={"dropout": 0}, train=changes), tmp_path / "one", console=Console(quiet=True))
    (tmp_path / "two.yaml").write_text(to_yaml(tiny(model={"dropout": 0}, train={**changes, "devices": 2, "strategy": "ddp"})))
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-W", "error", tmp_path / "script.py", tmp_path / "two.yaml", tmp_path / "two"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("stage 32s: ") == 1  # one of them speaks
    pair = json.loads((tmp_path / "two" / "result.json").read_text())["stages"]
    for one, two in zip(alone.stages, pair, strict=True):
        assert {**one, "seconds": 0, "heads": 0} == {**two, "seconds": 0, "heads": 0}
        found, expected = two["heads"]["semantic"], one["heads"]["semantic"]
        assert found["pixels"] == expected["pixels"]  # five images for two processes: none is counted twice or left out
        for metric in ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu"):
            assert found[metric] == pytest.approx(expected[metric], abs=1e-3)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4)


def _share(rank: int, model: FCN, images: torch.Tensor, meeting: str, out: str) -> None:
    """What a spawned process does: its image's part of a step."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    shared = torch.nn.parallel.DistributedDataParallel(model)
    shared(images[rank : rank + 1])["semantic"].square().sum().backward()
    if rank == 0:
        torch.save([parameter.grad for parameter in model.parameters()], out)
    distributed.destroy_process_group()


def test_a_net_goes_to_spawned_processes(tmp_path: Path) -> None:
    """Spawning pickles the net; two processes with an image each average to half the gradient of one with both."""
    torch.manual_seed(0)
    model = build_model("fcn16s-minivgg", classes=3).eval()
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    images = torch.randint(0, 256, (2, 3, 40, 48), dtype=torch.uint8)
    multiprocessing.spawn(_share, (model, images, f"file://{tmp_path}/meeting", f"{tmp_path}/grads"), nprocs=2)
    model(images)["semantic"].square().sum().backward()
    for found, parameter in zip(torch.load(tmp_path / "grads"), model.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(2 * found, parameter.grad, rtol=1e-4, atol=1e-4 * float(parameter.grad.abs().max()))


def _dice_share(rank: int, layer: torch.nn.Module, images: torch.Tensor, target: torch.Tensor, meeting: str, out: str) -> None:
    """What a spawned process does: the loss of one image or of two, as a step of training has it."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    shared = torch.nn.parallel.DistributedDataParallel(layer)
    mine = slice(0, 1) if rank == 0 else slice(1, 3)
    step = StepLoss(LossSpec.model_validate(REGIONS), images=3, processes=2, total=total_with_gradient)
    loss = step(shared(images[mine]), target[mine])
    (loss * 2).backward()  # as the training module does, since gradients are averaged
    value = total_with_gradient(loss.detach())
    if rank == 0:
        torch.save([value, *(parameter.grad for parameter in layer.parameters())], out)
    distributed.destroy_process_group()


REGIONS = {"dice": 1, "tversky": 0.5, "ohem": {"keep": 0.3}, "lovasz": 0.25}


def test_dice_of_two_processes_is_dice_of_all_their_pixels(tmp_path: Path) -> None:
    """Images of very different truth, so that the mean of two processes' own Dice would be another number."""
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 3, 1).double()
    images, target = torch.randn(3, 3, 6, 7, dtype=torch.float64), torch.randint(0, 3, (3, 6, 7))
    target[0] = 0
    target[0, 1:] = 255
    jobs = (layer, images, target, f"file://{tmp_path}/meeting", f"{tmp_path}/found")
    multiprocessing.spawn(_dice_share, jobs, nprocs=2)
    step = StepLoss(LossSpec.model_validate(REGIONS))
    logits = layer(images)
    loss = step(logits, target)
    loss.backward()
    halves = (step(logits[:1], target[:1]) + step(logits[1:], target[1:])) / 2
    assert abs(halves.item() - loss.item()) > 0.01
    for found, expected in zip(torch.load(tmp_path / "found"), [loss, *(p.grad for p in layer.parameters())], strict=True):
        torch.testing.assert_close(found, expected.detach(), rtol=1e-9, atol=1e-12)
