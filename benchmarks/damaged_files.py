"""Whether damaged files end in an answer or in one clear error, soon and in little memory: 10 000 seeded mutations of each kind.

    python benchmarks/damaged_files.py --count 10000

Kinds: a plain net's caffemodel in both forms, a published net (voc-fcn-alexnet with a sixteenth
of its channels), a prototxt, state dicts of both forms. Anything but an answer or an error of fullconv's ends the run with
a traceback. Printed for each kind: answers, errors, the slowest file in seconds of processor time, and the memory at the end.
Numbers: docs/results.md.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "interop" / "caffe"))
from caffe_files import caffemodel, reference
from damage import damaged
from published_nets import thin_nets
from test_caffe_damage import ONES, SMALL, TEXT

from fullconv.errors import FullconvError
from fullconv.interop.caffe import build_net, import_caffemodel, read_caffemodel, read_prototxt
from fullconv.interop.caffe.prototxt import parse_prototxt
from fullconv.interop.pytorch import import_state_dict
from fullconv.nn.weights import read_weights


def state(path: Path, *, archive: bool) -> bytes:
    """Return a small state dict's file."""
    torch.save({"conv.weight": torch.from_numpy(ONES), "conv.bias": torch.ones(2)}, path, _use_new_zipfile_serialization=archive)
    return path.read_bytes()


def main() -> None:
    """Damage and read files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    count = parser.parse_args().count
    thin_nets()
    definition = parse_prototxt(TEXT, "text")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        published = reference("voc-fcn-alexnet")
        kinds: dict[str, tuple[bytes, Callable[[], object], int]] = {
            "plain net, layer": (caffemodel(SMALL), lambda: build_net(definition, read_caffemodel(path)), count),
            "plain net, layers": (caffemodel(SMALL, old=True), lambda: build_net(definition, read_caffemodel(path)), count),
            "prototxt": (TEXT.encode(), lambda: build_net(read_prototxt(path)), count),
            "state dict, archive": (state(path, archive=True), lambda: read_weights(path), count),
            "state dict, one pickle": (state(path, archive=False), lambda: read_weights(path), count),
            "published net, layer": (caffemodel(published), lambda: import_caffemodel(path), count // 10),
            "published net, layers": (caffemodel(published, old=True), lambda: import_caffemodel(path), count // 10),
            "published net, refused model": (state(path, archive=True), lambda: import_state_dict(path), count // 10),
        }
        for kind, (content, read, turns) in kinds.items():
            random, answers, errors, slowest = np.random.default_rng(17), 0, 0, 0.0
            for _ in range(turns):
                path.write_bytes(damaged(content, random))
                start = time.process_time()
                try:
                    read()
                    answers += 1
                except FullconvError as error:
                    errors += 1
                    if "\n" in str(error) or len(str(error)) > 1500:
                        raise
                slowest = max(slowest, time.process_time() - start)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{kind}: {answers} answers, {errors} errors, slowest {slowest:.2f} s, {memory:.0f} MiB so far", flush=True)


if __name__ == "__main__":
    main()
