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

from fullconv.spec import Recipe
from fullconv.spec.recipe import to_yaml
from fullconv.training.run import train

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
    unlike = dict.fromkeys(("seconds", "waiting", "heads"), 0)
    pair = json.loads((tmp_path / "two" / "result.json").read_text())["stages"]
    for one, two in zip(alone.stages, pair, strict=True):
        assert one | unlike == two | unlike
        found, expected = two["heads"]["semantic"], one["heads"]["semantic"]
        assert found["pixels"] == expected["pixels"]  # five images for two processes: none is counted twice or left out
        for metric in ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu"):
            assert found[metric] == pytest.approx(expected[metric], abs=1e-3)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4)
