"""Whether imported weights compute what the reference's graph does, and how much memory importing takes.

    python -m venv opencv && opencv/bin/pip install 'opencv-python-headless<5' && export FULLCONV_OPENCV=$PWD/opencv/bin/python
    python benchmarks/published_weights.py voc-fcn8s --divide 1
    python benchmarks/published_weights.py all --divide 16

A caffemodel with the reference's names and shapes and random weights is written in both forms (``layer`` and ``layers``) and
imported; logits are compared with a plain interpreter of the graph and, where ``FULLCONV_OPENCV`` names an interpreter, with
OpenCV's own Caffe importer. Printed are the largest differences by size, the largest logit, and the peak memory of
``fullconv import`` of the file by itself. Numbers: docs/results.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "interop" / "caffe"))
from caffe_files import L, caffemodel, evaluate, prototxt, reference
from opencv import VARIABLE, OpenCV
from published_nets import HEADS, TWINS, fed, inputs, thin_nets

from fullconv.interop.caffe import PUBLISHED, import_caffemodel
from fullconv.nn.fcn import FCN

SIZES = ((500, 500), (375, 500), (233, 301), (64, 96), (1, 1))


IMPORT = """
import sys
from fullconv.cli import main
code = main(sys.argv[1:])
print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1])
sys.exit(code)
"""


def peak_of_import(path: Path, name: str) -> str:
    """Return the peak memory of ``fullconv import`` of a file, in a process of its own, which says it itself (Linux)."""
    command = ["import", str(path), "--model", name, "--json", "--out", str(path.with_suffix(".safetensors"))]
    done = subprocess.run([sys.executable, "-c", IMPORT, *command], stdout=subprocess.PIPE, text=True, check=True)
    *lines, peak = done.stdout.splitlines()
    said = json.loads("".join(lines))
    path.with_suffix(".safetensors").unlink()
    fates = ", ".join(f"{len(said[fate])} {fate}" for fate in ("copied", "cast", "dropped", "missing"))
    return f"{path.stat().st_size / 1e6:.0f} MB file, peak {int(peak) / 1024:.0f} MiB of memory; {fates}"


def written(folder: Path, name: str, layers: list[L], *, old: bool) -> Path:
    """Write a net in one of the two forms, a layer at a time."""
    path = folder / f"{name}-v{1 if old else 2}.caffemodel"
    with path.open("wb") as file:
        for layer in layers:
            file.write(caffemodel([layer], old=old))
    return path


def compare(name: str, divide: int, folder: Path) -> float:
    """Print how far our logits are from the others', at every size; return the largest difference."""
    layers = reference(name, divide)
    known = PUBLISHED[name].model
    files = [written(folder, name, layers, old=old) for old in (False, True)]
    if divide == 1:
        for path in files:
            print(f"{path.name}: {peak_of_import(path, name)}", flush=True)
    nets = [import_caffemodel(path, name if name in TWINS or divide == 1 else None).net for path in files]
    assert all(isinstance(net, FCN) for net in nets)
    same = all(torch.equal(a, b) for a, b in zip(nets[0].state_dict().values(), nets[1].state_dict().values(), strict=True))
    print(f"{name} ({known}, channels ÷ {divide}); both forms give the same weights: {same}", flush=True)
    del nets[1]
    worst = 0.0
    for size in SIZES:
        given, data = inputs(name, *size)
        data = fed(layers, data)
        with torch.no_grad():
            found = nets[0]({key: given[key] for key in nets[0].inputs})
            plain = evaluate(layers, data)
        names = [next(key for key in HEADS[head] if key in plain) for head in found]
        ours = [logits.numpy() for logits in found.values()]
        truths = {"interpreter": [plain[key].numpy() for key in names]}
        del plain
        if VARIABLE in os.environ:
            other = OpenCV(folder)
            text = folder / "net.prototxt"
            text.write_text(prototxt(layers, {key: tuple(maps.shape) for key, maps in data.items()}))
            other.add(text, files[1], {key: maps.numpy() for key, maps in data.items()}, names)
            truths["OpenCV"] = other.run()[0]
        gaps = {kind: max(float(np.abs(a - b).max()) for a, b in zip(ours, truth, strict=True)) for kind, truth in truths.items()}
        worst = max(worst, *gaps.values())
        said = ", ".join(f"{kind} {gap:.1e}" for kind, gap in gaps.items())
        print(f"  {size[0]}×{size[1]}: {said}; largest logit {max(float(np.abs(a).max()) for a in ours):.2f}", flush=True)
    return worst


def main() -> None:
    """Compare one model or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a published model, or all")
    parser.add_argument("--divide", type=int, default=16, choices=(1, 16))
    said = parser.parse_args()
    torch.set_num_threads(1)
    if said.divide > 1:
        thin_nets()
    with tempfile.TemporaryDirectory() as folder:
        worst = max(compare(name, said.divide, Path(folder)) for name in (PUBLISHED if said.model == "all" else [said.model]))
    print(f"largest difference: {worst:.1e}")
    sys.exit(worst > 1e-3)


if __name__ == "__main__":
    main()
