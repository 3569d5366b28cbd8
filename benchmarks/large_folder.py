"""How long a folder of many pairs takes before training starts: init, data check, and the start of training.

    python benchmarks/large_folder.py --pairs 50000 --out /tmp/large

Images are JPEG of 128×96, masks PNG, and all differ. Each command runs in a process of its own; printed are its seconds, those
of all cores, and the largest memory of it and of one of its processes so far.

On two cores (AMD EPYC, 2026-11-27), about 5 CPU-s and 720 MiB of each command being Python, torch and matplotlib:

==========================  ======================  ========
``init``                    12.3 s, 12.4 CPU-s      874 MiB
``data check``              29.9 s, 45.4 CPU-s      977 MiB
``train`` to its first step 16.3 s, 17.6 CPU-s      1030 MiB
==========================  ======================  ========

Training looks into 2000 pairs of each split and validates on all 9908 after its one step, which ``val_count`` of 2 leaves out
here.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image


def make(root: Path, pairs: int) -> None:
    """Write a folder of pairs that all differ."""
    random = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for number in range(pairs):
        coarse = random.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((128, 96), Image.Resampling.BICUBIC)
        image.save(root / "images" / f"{number:06}.jpg", quality=90)
        mask = np.kron(random.integers(0, 3, (6, 8), dtype=np.uint8), np.ones((16, 16), np.uint8))
        Image.fromarray(mask).save(root / "masks" / f"{number:06}.png")


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
