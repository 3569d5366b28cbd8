"""``fullconv export``: a checkpoint as a file for other runtimes, with the proof that it computes the same."""

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from fullconv.cli.output import log, show


def export(
    checkpoint: Path,
    /,
    *,
    out: Path,
    format: Literal["onnx", "openvino", "torch"],
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    calibrate: Path | None = None,
    embed_pixels: Annotated[bool, Parameter(negative="")] = False,
    threshold: float | None = None,
    most_changed: float | None = None,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Write a model as a file for other runtimes, once it is proven to compute what the checkpoint computes.

    The file is run at five sizes that it was not traced with. When it is further from the checkpoint than its precision
    allows, it is not written.

    Parameters
    ----------
    checkpoint
        A model.safetensors that training wrote.
    out
        The file to write: .onnx, .xml (OpenVINO; weights go to a .bin beside it) or .pt2 (torch).
    format
        onnx, openvino or torch (torch.export).
    precision
        fp32; fp16: half the file; int8: a quarter of it, of onnx and openvino, by images of --calibrate.
    calibrate
        Folder of images such as the model will see; where it has masks too, mean IU is measured before and after.
    embed_pixels
        Make the file take uint8 RGB images (N, H, W, 3) and give uint8 labels (N, H, W), for programs without any code of ours.
    threshold
        For models of two classes: the smallest probability at which a pixel counts as the class that is not background; it is
        stored in the file.
    most_changed
        For fp16 and int8: the share of labels that may differ before the export fails; 0.001 and 0.01 by default.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv export run/model.safetensors --format onnx --out road.onnx
    fullconv export run/model.safetensors --format onnx --precision int8 --calibrate photos --out road.onnx
    """
    from fullconv.interop.export import export_checkpoint

    with _quiet():
        found = export_checkpoint(
            *(checkpoint, out),
            format=format,
            precision=precision,
            calibrate=calibrate,
            embed_pixels=embed_pixels,
            threshold=threshold,
            most_changed=most_changed,
        )
    if found.said:
        log(found.said)
    if as_json:
        show(json.dumps({"files": [str(file) for file in found.files], **found.metadata}))
    else:
        show(found.parity.table())
        if found.mean_iu:
            images, before, after = (found.mean_iu[key] for key in ("images", "before", "after"))
            show(f"mean IU on {images:g} images: checkpoint {100 * before:.1f}, file {100 * after:.1f}")
    size = sum(file.stat().st_size for file in found.files) / 1e6
    log(f"{' and '.join(map(str, found.files))}: {size:.1f} MB")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what exporters say about their own insides."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
