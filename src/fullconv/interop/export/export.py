"""A checkpoint becomes a file that another runtime runs, or an error and no file: trace, convert, run, compare, put in place."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from fullconv.data.sample import Dataset
from fullconv.errors import FullconvError, SpecError, WeightsError
from fullconv.evaluation import compare
from fullconv.extras import extra_module
from fullconv.files import replacing
from fullconv.inference.exported import SUFFIXES, WEIGHTS, ExportedEngine, checksum, is_exported
from fullconv.inference.predictor import Predictor
from fullconv.inference.threshold import check_threshold, labels_at
from fullconv.interop.export.calibration import Folder, open_calibration
from fullconv.interop.export.formats import Content, make_content
from fullconv.interop.export.graph import trace, with_half_weights
from fullconv.interop.export.metadata import describe
from fullconv.interop.export.parity import CHANGED, Parity, measure
from fullconv.interop.export.quantise import Calibration
from fullconv.nn.checkpoint import Checkpoint, Source, load_checkpoint

Format = Literal["onnx", "openvino", "torch"]
Precision = Literal["fp32", "fp16", "int8"]
SUFFIX_OF = {format: suffix for suffix, format in SUFFIXES.items()}
RUNTIMES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("onnx", "onnxscript", "openvino"), "torch": ()}
"""What each format needs to be written and run."""


@dataclass(frozen=True)
class Exported:
    """A file that was exported.

    Attributes
    ----------
    files
        What was written; OpenVINO's are two.
    parity
        How far it is from the checkpoint.
    metadata
        What the file says of itself, the parity included.
    mean_iu
        ``before`` and ``after`` on ``images`` images; empty where it was not measured.
    said
        What was done with the images of calibration; empty without.
    """

    files: tuple[Path, ...]
    parity: Parity
    metadata: dict[str, Any]
    mean_iu: dict[str, float] = field(default_factory=dict)
    said: str = ""


def export_checkpoint(
    checkpoint: Source,
    out: str | os.PathLike[str],
    *,
    format: Format = "onnx",
    precision: Precision = "fp32",
    calibrate: str | os.PathLike[str] | None = None,
    embed_pixels: bool = False,
    threshold: float | None = None,
    most_changed: float | None = None,
) -> Exported:
    """Write a checkpoint as a file that another runtime runs, after the file was run beside it at sizes it was not traced with.

    Parameters
    ----------
    checkpoint
        As for :func:`fullconv.nn.checkpoint.load_checkpoint`.
    out
        Ends in ``.onnx``, ``.xml`` (OpenVINO, with the weights in a ``.bin`` beside it) or ``.pt2``, as the format does.
    format
        ``onnx``, ``openvino`` or ``torch``.
    precision
        ``fp32``; ``fp16``: kernels are stored in 16 bits, and runtimes compute as they do best; ``int8``: kernels and activations
        in 8 bits, but for the layers that make logits.
    calibrate
        Of int8: a folder of images such as the model will see, see :func:`fullconv.interop.export.calibration.open_calibration`.
    embed_pixels
        Take images uint8 (N, H, W, 3) RGB in and give labels uint8 (N, H, W), so that a program needs nothing else.
    threshold
        Of two classes, see :class:`fullconv.Predictor`: is written down, and with ``embed_pixels`` made part of the graph.
    most_changed
        Of reduced precision: the share of labels that may differ, 0 to 1; 0.001 of fp16 and 0.01 of int8 by default.

    Raises
    ------
    SpecError
        When options do not go together, or a library is missing.
    WeightsError
        As ``load_checkpoint``; when the file is further from the checkpoint than its precision allows: then it is not written.
    DataError
        When the images of calibration cannot be read.
    """
    target = Path(out)
    if isinstance(checkpoint, str | os.PathLike) and is_exported(checkpoint):
        raise SpecError(f"{checkpoint} is an exported file already; export the model.safetensors that it was made from")
    _check_options(target, format, precision, calibrate, most_changed)
    _check_runtimes(format, precision)
    loaded = load_checkpoint(checkpoint)
    if embed_pixels and loaded.scale != 1:
        raise SpecError(
            f"the model learned images at {loaded.scale:g} of their size, and a graph from pixels to labels cannot resize them "
            "as it does: leave --embed-pixels out, and resize by the scale in the file's metadata"
        )
    for head, classes in loaded.labels.items():
        check_threshold(threshold, classes, head)
    folder = open_calibration(Path(calibrate), loaded) if calibrate is not None else None
    most = CHANGED[precision] if most_changed is None else most_changed
    content = _content(loaded, format, precision, folder, embed_pixels, threshold, most)

    def metadata(parity: dict[str, Any] | None) -> dict[str, Any]:
        return describe(loaded, format, pixels=embed_pixels, precision=precision, threshold=threshold, parity=parity)

    with tempfile.TemporaryDirectory() as scratch:
        tried = Path(scratch) / f"model{target.suffix.lower()}"
        _write(content, tried, metadata(None))
        engine = ExportedEngine(tried, "cpu")
        parity = measure(loaded.model, engine, precision, threshold, folder.others if folder else (), most)
        if parity.fault is not None:
            raise WeightsError(f"{target} is not written: beside the checkpoint {parity.fault}; {_advice(precision)}")
        scores: dict[str, float] = {}
        if folder is not None and folder.measured is not None and not embed_pixels:
            scores = _mean_iu(loaded, engine, folder.measured)
        said = metadata(parity.to_dict() | ({"mean_iu": scores} if scores else {}))
        if (weights := tried.with_suffix(".bin")).is_file():
            said[WEIGHTS] = checksum(weights)
        _write(content, tried, said)
        files = _put(tried, target)
    return Exported(files, parity, said, scores, f"{folder.said}; {content.said}" if folder else "")


def _check_options(target: Path, format: str, precision: str, calibrate: object, most_changed: float | None) -> None:
    if target.suffix.lower() != SUFFIX_OF[format]:
        raise SpecError(f"--out {target}: a file of the format {format} ends in {SUFFIX_OF[format]}")
    if target.is_dir():
        raise SpecError(f"--out {target}: a folder; give the name of a file in it, such as {target / f'model{target.suffix}'}")
    if precision == "int8" and format == "torch":
        raise SpecError("int8 is written as onnx or openvino; torch takes fp32 and fp16")
    if precision == "int8" and calibrate is None:
        raise SpecError("int8 needs --calibrate DIR, a folder of images such as the model will see")
    if precision != "int8" and calibrate is not None:
        raise SpecError(f"--calibrate is for int8, and the precision is {precision}; leave it out or give --precision int8")
    if most_changed is not None and (precision == "fp32" or not 0 <= most_changed <= 1):
        raise SpecError(
            f"--most-changed {most_changed:g}: it is a share of labels, 0 to 1, and of fp16 and int8; the precision is "
            f"{precision}"
        )


def _check_runtimes(format: str, precision: str) -> None:
    """Raise a SpecError for what is not installed before minutes of work, not behind them."""
    for module in RUNTIMES[format]:
        extra_module(module, format)
    if precision == "int8":
        extra_module("nncf", "int8")


def _content(
    loaded: Checkpoint,
    format: Format,
    precision: Precision,
    folder: Folder | None,
    pixels: bool,
    threshold: float | None,
    most_changed: float,
) -> Content:
    half = precision == "fp16"
    model = with_half_weights(loaded.model) if half and format != "openvino" else loaded.model
    program = trace(model, loaded.labels, pixels, threshold)
    names = loaded.model.inputs
    calibration = None
    if folder is not None:
        layout = (1, 2, 0) if pixels else (0, 1, 2)
        dtype = torch.uint8 if pixels else torch.float32
        images, checked = (
            [[one[name].permute(layout)[None].to(dtype).contiguous() for name in names] for one in given]
            for given in (folder.images, folder.checked)
        )

        def labels_of(outputs: Sequence[Tensor]) -> Sequence[Tensor]:
            if pixels:
                return outputs
            heads = loaded.labels.values()
            return [labels_at(logits, classes, threshold) for logits, classes in zip(outputs, heads, strict=True)]

        calibration = Calibration(names, images, checked, labels_of, most_changed)
    return make_content(format, program, (names, tuple(loaded.labels)), half, calibration)


def _mean_iu(loaded: Checkpoint, engine: ExportedEngine, measured: Dataset) -> dict[str, float]:
    """Return mean IU of checkpoint and file on the same images."""
    common = (loaded.labels, loaded.scale, None, loaded.image, loaded.label_maps)
    predictors = {"before": Predictor(loaded.model, *common), "after": Predictor(engine, *common)}
    labels = loaded.labels["semantic"]
    found = compare({name: (predictor.labels_of, labels) for name, predictor in predictors.items()}, measured)
    scores = {name: float(study.report.metrics.mean_iu) for name, study in found.studies.items()}
    return scores | {"images": len(measured)}


def _advice(precision: Precision) -> str:
    if precision == "int8":
        return "calibrate on more images that are like those it will see, take fp16, or accept it by --most-changed"
    return (
        "take --precision fp32, or accept it by --most-changed"
        if precision == "fp16"
        else "please report it with the model's name and versions"
    )


def _write(content: Content, path: Path, metadata: dict[str, Any]) -> None:
    try:
        content.write(path, metadata)
    except (OSError, RuntimeError) as error:  # a RuntimeError is OpenVINO's and torch's
        reason = (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())[:200]
        raise FullconvError(
            f"cannot write the file to be tried, in the folder {path.parent}: {reason}; free space there, or set TMPDIR to a "
            "folder with more"
        ) from error


def _put(tried: Path, target: Path) -> tuple[Path, ...]:
    """Copy what was written to where it belongs; of two files, none gets its name before both are there in full."""
    found = [target.with_suffix(suffix) for suffix in (target.suffix, ".bin") if tried.with_suffix(suffix.lower()).is_file()]
    with contextlib.ExitStack() as renamed:
        for file in found:
            shutil.copyfile(tried.with_suffix(file.suffix.lower()), renamed.enter_context(replacing(file)))
    return tuple(found)
