"""How long a folder of many pairs takes before training starts: init, data check, and the start of training.

    python benchmarks/large_folder.py --pairs 50000 --out /tmp/large

Images are JPEG of 64×48 that differ, written once and linked for the rest; masks are PNG. Each command runs in a process of its
own; printed are its seconds, its seconds of all cores, and the largest memory of it and of one of its processes.

Of 50 000 pairs that all differ (JPEG of 128×96, palette PNG), on two cores of a machine that others used at the same time, CPU-s
are seconds of all cores, about 5 of them imports, which hold 720 to 800 MiB:

==========================  ==========================================  =========
``init``                    15.2 CPU-s, 18 s at a load of 2             823 MiB
``data check``              75 CPU-s, 177 s at a load of 6 to 9         1141 MiB
``train`` to its first step 20 CPU-s, 150 s at a load of 11             899 MiB
==========================  ==========================================  =========

The memory of ``data check`` was measured before pairs and thumbnails were held only once. Training looks into 2000 pairs of each
split and validates on all 9908 after its one step, which is left out above and in what is printed for ``val_count`` of 2.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

WRITTEN = 1000
"""Files that are really written; the others are hard links to them."""


def make(root: Path, pairs: int) -> None:
    """Write a folder of pairs."""
    random = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for number in range(pairs):
        files = root / "images" / f"{number:06}.jpg", root / "masks" / f"{number:06}.png"
        if number >= WRITTEN:
            for file in files:
                os.link(file.with_stem(f"{number % WRITTEN:06}"), file)
            continue
        coarse = random.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC).save(files[0], quality=90)
        Image.fromarray(np.kron(random.integers(0, 3, (6, 8), dtype=np.uint8), np.ones((8, 8), np.uint8))).save(files[1])


def measured(name: str, command: list[str]) -> None:
    """Run a command and print what it took."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "fullconv", *command], capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    memory = after.ru_maxrss / 1024
    print(f"{name}: {seconds:.1f} s, {cpu:.1f} CPU-s, at most {memory:.0f} MiB so far, exit code {done.returncode}", flush=True)
    if done.returncode:
        print("\n".join(done.stderr.splitlines()[-3:]))


def main() -> None:
    """Make the folder where it is not there, and measure the commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    root, recipe, run = given.out / "photos", given.out / "photos.yaml", given.out / "run"
    if not root.exists():
        make(root, given.pairs)
    recipe.unlink(missing_ok=True)
    subprocess.run(["rm", "-rf", str(run)], check=True)
    short = ["--model.name", "fcn32s-minivgg", "--model.weights", "null", "--data.workers", "0", "--data.val_count", "2"]
    measured("init", ["init", str(root), "--out", str(recipe)])
    measured("data check", ["data", "check", str(recipe)])
    measured("train, 1 step", ["train", str(recipe), *short, "--train.stages", "[{stride: 32, steps: 1}]", "--out", str(run)])


if __name__ == "__main__":
    main()
