"""How far exported files are from their checkpoints: every net in every format, at sizes it was not traced with.

    python benchmarks/export_parity.py [NET ...] [--formats onnx openvino torch] [--out parity.md]

Nets have random weights, so that the table needs no files. Minutes for each of the large ones, and 4 GB of memory for
fcn8s-caffe-vgg16.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from fullconv.errors import FullconvError
from fullconv.interop.export import export_checkpoint
from fullconv.interop.export.export import SUFFIX_OF
from fullconv.labels import VOC, LabelSet
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.spec import ModelSpec

NETS: dict[str, tuple[ModelSpec, dict[str, LabelSet]]] = {
    name: (ModelSpec(name=name, weights=None), {"semantic": VOC})
    for name in ("fcn8s-minivgg", "fcn8s-squeezenet1_1", "fcn8s-efficientnet_lite0", "fcn16s-resnet50", "fcn8s-caffe-vgg16")
}
NETS["fcn16s-minivgg, rgb and hha"] = (ModelSpec(name="fcn16s-minivgg", weights=None, streams=("rgb", "hha")), {"semantic": VOC})
NETS["fcn8s-minivgg, two heads"] = (
    ModelSpec(name="fcn8s-minivgg", weights=None),
    {"semantic": VOC, "geometric": LabelSet(("horizontal", "vertical", "sky"))},
)
PRECISIONS = ("fp32", "fp16")


def checkpoint_of(name: str, folder: Path) -> Path:
    """Return a checkpoint of one of :data:`NETS` with random weights."""
    spec, labels = NETS[name]
    torch.manual_seed(0)
    model = build_model(spec, {head: len(classes) for head, classes in labels.items()})
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter, std=0.01)
    path = folder / "model.safetensors"
    save_checkpoint(path, model, labels)
    return path


def rows_of(name: str, formats: Sequence[str] = tuple(SUFFIX_OF)) -> list[str]:
    """Return a row for each format and precision."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = checkpoint_of(name, Path(scratch))
        for format in formats:
            for precision in PRECISIONS:
                begun = time.perf_counter()
                try:
                    found = export_checkpoint(
                        checkpoint, Path(scratch) / f"net{SUFFIX_OF[format]}", format=format, precision=precision
                    )  # type: ignore[arg-type]  # names
                except FullconvError as error:
                    rows.append(f"| {name} | {format} | {precision} | {error} | | | |")
                    print(rows[-1], flush=True)
                    continue
                size = sum(file.stat().st_size for file in found.files) / 1e6
                parity = found.parity
                rows.append(
                    f"| {name} | {format} | {precision} | {parity.logits:.1e} | {100 * parity.changed:.3g} % | "
                    f"{size:.1f} | {time.perf_counter() - begun:.0f} |"
                )
                print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Print the table, and write it where ``--out`` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nets", nargs="*", choices=[[], *NETS], help="all by default")
    parser.add_argument("--formats", nargs="+", choices=[*SUFFIX_OF], default=[*SUFFIX_OF], help="all by default")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    head = "| net | format | precision | largest difference of logits | labels changed | MB | s |"
    rows = [head, "|---" * 7 + "|"] + [row for name in given.nets or NETS for row in rows_of(name, given.formats)]
    if given.out is not None:
        given.out.write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
