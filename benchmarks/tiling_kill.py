"""A kill in the middle of an image in parts: whether the file is the same, and what was computed twice.

    python benchmarks/tiling_kill.py

A process is killed (SIGKILL) half-way and begun again, and compared with one that was never killed. One thread; Linux.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tiling import made, pixels
from torch import Tensor, fx, nn
from torch.nn.modules.module import register_module_forward_hook

from fullconv.inference.tiled.large import Order, predict_large
from fullconv.inference.tiled.plan import cut

KILLED = (2560, 1024)
"""Size of the image whose prediction is killed."""


def kill() -> None:
    """Kill a run half-way, begin it again, and compare with one that was never killed: its file, what was computed and read."""
    folder = Path(tempfile.mkdtemp())
    digests, kept = [], 0
    for run in ("once", "killed"):
        command = [sys.executable, __file__, str(folder / f"{run}.png")]
        process = subprocess.Popen(command)
        if run == "killed":
            bands = folder / f".{run}.bands"
            while not bands.exists() or bands.read_bytes().count(b'"rows"') < 5:  # 5 of 10 strips
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert not (folder / f"{run}.png").exists()
            kept = (folder / f".{run}.rows").stat().st_size
            process = subprocess.Popen(command)
        assert process.wait() == 0
        digests.append(hashlib.sha256((folder / f"{run}.png").read_bytes()).hexdigest())
    (once, _), (killed, read_twice) = (_done(folder / f"{run}.log") for run in ("once", "killed"))
    twice = [round((killed[stage] - entries) / entries * KILLED[0]) for stage, entries in sorted(once.items())]
    print(
        f"the same file: {digests[0] == digests[1]}; {kept / 1e6:.1f} MB of rows were kept; rows of the image computed twice by "
        f"each stage: {', '.join(map(str, twice))}; read by both runs: {read_twice}"
    )
    shutil.rmtree(folder)


def _done(log: Path) -> tuple[Counter[int], int]:
    """Return how many entries each stage computed in all runs together, and how many rows of the image more than one run read."""
    entries: Counter[int] = Counter()
    runs: list[set[int]] = []
    for line in log.read_text(encoding="utf-8").splitlines():
        kind, *numbers = line.split()
        if kind == "run":
            runs.append(set())
        elif kind == "read":
            runs[-1].update(range(*map(int, numbers)))
        else:
            entries[int(kind)] += int(numbers[0])
    return entries, len(set.intersection(*runs)) if len(runs) > 1 else 0


def part(path: str) -> None:
    """Predict an image of ten strips; log what is read and computed."""
    torch.set_num_threads(1)
    predictor = made("fcn8s-squeezenet1_1")
    nets: list[int] = []
    with Path(path).with_suffix(".log").open("a", buffering=1, encoding="utf-8") as log:
        log.write("run\n")

        def read(top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
            log.write(f"read {top} {top + height}\n")
            return pixels(top, left, height, width)

        def count(module: nn.Module, inputs: object, found: object) -> None:
            if isinstance(module, fx.GraphModule) and isinstance(found, Tensor) and found.device.type == "cpu":  # a stage
                if id(module) not in nets:  # a tile of zeros
                    nets.append(id(module))
                else:
                    log.write(f"{nets.index(id(module))} {found.shape[2] * found.shape[3]}\n")

        register_module_forward_hook(count)
        order = Order(Path(path), "semantic", identity="benchmark", say=print)
        found = predict_large(predictor, read, KILLED, lambda: cut(predictor, KILLED, 100_000_000), order)
    print(f"{found.resumed} of {KILLED[0]} rows were there")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    part(sys.argv[1]) if len(sys.argv) > 1 else kill()
