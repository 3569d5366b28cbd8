"""Training leaves the process that it runs in as it was, and takes turns."""

import logging
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from fullconv.spec import Recipe
from fullconv.training.process import process_kept
from fullconv.training.run import train


def state() -> dict[str, Any]:
    """What belongs to the whole process and might be changed."""
    lightning = [name for name in logging.root.manager.loggerDict if name.startswith("lightning")]
    return {
        "random numbers": torch.get_rng_state().tolist(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "default type": torch.get_default_dtype(),
        "deterministic": (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark),
        "matmul": torch.get_float32_matmul_precision(),
        "gradients": torch.is_grad_enabled(),
        "warnings": list(warnings.filters),
        "loggers": {name: logging.getLogger(name).level for name in lightning},
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "children": multiprocessing.active_children(),
    }


def test_training_leaves_the_process_as_it_was(tiny: Callable[..., Recipe], tmp_path: Path, quiet: Console) -> None:
    one = {"stages": [{"stride": 16, "steps": 2}], "validate_every": 1}
    train(tiny(train=one), tmp_path / "first", console=quiet)  # what is imported meanwhile is not what this is about
    torch.manual_seed(5)
    before = state()
    train(tiny(data={"workers": 1}, train=one), tmp_path / "second", console=quiet)
    after = state()
    assert {key: value for key, value in after.items() if value != before[key]} == {}


def test_trainings_in_several_threads_take_turns() -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with process_kept(cuda=False):
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    filters = list(warnings.filters)
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(warnings.filters) == filters
