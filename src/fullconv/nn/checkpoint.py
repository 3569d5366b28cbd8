"""One ``.safetensors`` file holds a trained model: weights, and a JSON header with all that is needed to use them.

The header is the metadata entry ``fullconv``::

    format          2; files of format 1 are read too
    model           ModelSpec
    heads           label set of each output, by name
    preprocessing   what each input goes through, by name; it stands here alone and not among the tensors
    image           how image files are read, see :class:`fullconv.spec.ImageSpec`; as colour where older files do not say
    masks           of heads whose masks stored other values than labels: pairs of a value (a colour: 2**24 + its bits) and its
                    label, in the order in which the recipe declared them
    scale           factor on height and width of the images that it was trained on; 1 where older files do not say
    history         what it was trained on and how well it did, a list of mappings
    versions        of the libraries that wrote it

Nothing in it is ever executed: a file from anywhere can be opened. A backbone that is not fullconv's own (``module:function``)
is looked up by its name among those that the user has brought in by :func:`fullconv.nn.backbones.use_backbone`.
"""

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save_file

from fullconv.errors import FullconvError, SpecError, WeightsError
from fullconv.files import replacing
from fullconv.labelmap import LabelMap
from fullconv.labels import LabelSet
from fullconv.nn.assemble import assemble
from fullconv.nn.backbones import find_backbone
from fullconv.nn.fcn import FCN
from fullconv.nn.find_checkpoint import find_checkpoint, models_called_like
from fullconv.nn.first_format import translate
from fullconv.nn.float16 import as_float16
from fullconv.nn.header import facts_of
from fullconv.spec import ImageSpec, ModelSpec
from fullconv.spec.image import PLAIN

KEY = "fullconv"
FORMAT = 2
ADVICE = "give a model.safetensors that `fullconv train` wrote"
LONGEST_HEADER = 100_000_000
"""In bytes, that safetensors reads; the first eight bytes of a file say how long its header is."""
SAID = 200
"""Letters of a library's message that are passed on."""
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

Source = str | os.PathLike[str] | bytes | BinaryIO
"""A path or a name (see :mod:`fullconv.nn.find_checkpoint`), or the content of a file, or an open one."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and what its file says about it.

    Attributes
    ----------
    model
        In evaluation mode, on the CPU.
    labels
        The classes of each head.
    history
        One mapping for each stage of its training.
    scale
        The factor on height and width at which it learned its images.
    image
        How it reads image files.
    label_maps
        What the masks that it learned from stored, by head, where that is known.
    header
        The whole header.
    """

    model: FCN
    labels: dict[str, LabelSet]
    history: list[dict[str, Any]]
    scale: float
    image: ImageSpec
    label_maps: dict[str, LabelMap]
    header: dict[str, Any]


def save_checkpoint(
    path: str | os.PathLike[str],
    model: FCN,
    labels: Mapping[str, LabelSet],
    history: Sequence[Mapping[str, Any]] = (),
    scale: float = 1.0,
    image: ImageSpec = PLAIN,
    label_maps: Mapping[str, LabelMap] | None = None,
    half: bool = False,
) -> None:
    """Write a model to ``path``: the whole file, or none (a file that was there stays as it was).

    Parameters
    ----------
    path
        Ends in ``.safetensors``.
    model
        Its weights are stored as they are.
    labels
        The classes of every head of the model.
    history
        JSON-able mappings.
    scale
        The recipe's ``data.scale``: the factor on height and width at which it learned its images.
    image
        The recipe's ``data.image``: bands, range and pages of its images.
    label_maps
        What the masks that it learned from stored, by head; ``fullconv predict --values original`` writes the same again.
    half
        Store weights as float16, in half the bytes; :func:`load_checkpoint` makes float32 of them. See
        :mod:`fullconv.interop.half`.

    Raises
    ------
    FullconvError
        When the folder cannot be written or the disk is full.
    WeightsError
        When label sets and heads do not fit together; when a weight does not fit into float16.
    """
    if not isinstance(labels, Mapping) or not all(isinstance(classes, LabelSet) for classes in labels.values()):
        head = next(iter(model.heads))
        raise WeightsError(f"labels are {labels!r:.80}; give a LabelSet for every head, such as {{{head!r}: LabelSet(names)}}")
    if {head: len(classes) for head, classes in labels.items()} != model.heads:
        raise WeightsError(f"label sets for the heads {sorted(labels)} do not fit a model with the heads {model.heads}")
    header = {
        "format": FORMAT,
        "model": model.spec.model_dump(mode="json"),
        "heads": {head: classes.to_dict() for head, classes in labels.items()},
        "preprocessing": model.preprocessing,
        "image": image.model_dump(mode="json", exclude={"rotation"}),
        "masks": {head: [list(pair) for pair in known.meaning.items()] for head, known in (label_maps or {}).items()},
        "scale": scale,
        "history": [dict(entry) for entry in history],
        "versions": {name: version(name) for name in ("fullconv", "torch", "torchvision")},
    }
    stated = model.preprocessing_tensors()
    state = model.state_dict().items()
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state if name not in stated}
    tensors = as_float16(tensors) if half else tensors
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, {KEY: json.dumps(header)})
        except SafetensorError as error:  # what safetensors makes of a full disk
            raise OSError(str(error)) from error


def load_checkpoint(source: Source) -> Checkpoint:
    """Return the model of a file that :func:`save_checkpoint` wrote, in evaluation mode on the CPU.

    Parameters
    ----------
    source
        A path, ``hf://owner/name[@revision][/file]`` of the hub, or the name of an installed model such as ``voc-subset``; or the
        file's content as bytes, or an open binary file, which is read from where it stands to its end.

    Raises
    ------
    WeightsError
        When the file is missing, empty, cut short, a pickle, of another kind, of a newer format, or its weights do not fit
        its own header; when the hub does not give it.
    """
    file, header, tensors = _read(source)
    if header.get("format") not in (1, FORMAT):
        raise WeightsError(
            f"{file} has format {header.get('format')!r}; this version reads the formats 1 to {FORMAT}: update fullconv, or "
            f"{ADVICE} of this version"
        )
    _require_backbone(file, header)
    try:
        facts = facts_of(header)
        heads = {head: len(classes) for head, classes in facts.labels.items()}
        # a file that does not say where its maps lie was written when they lay in the middle of their windows
        model = assemble(ModelSpec.model_validate({"centre": "window"} | header["model"]), heads)
        if set(header["preprocessing"]) != set(model.inputs):
            raise WeightsError(
                f"it prepares {', '.join(header['preprocessing']) or 'nothing'}, and reads {', '.join(model.inputs)}"
            )
        model.set_preprocessing(header["preprocessing"])
        weights = translate(tensors, model.strides) if header["format"] == 1 else tensors
        model.load_state_dict(model.preprocessing_tensors() | weights)
        history = [dict(entry) for entry in header["history"]]
    except (FullconvError, KeyError, AttributeError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise WeightsError(f"{file} contradicts itself: {_first_line(error)}; {ADVICE}") from error
    model.stored = {"file": file if isinstance(source, str | os.PathLike) else None, "history": history, **vars(facts)}
    return Checkpoint(model.eval(), facts.labels, history, facts.scale, facts.image, facts.label_maps, header)


def _require_backbone(file: str, header: Mapping[str, Any]) -> None:
    """Refuse a model of a net that is not here; the name in the file is looked up and never imported."""
    try:
        backbone = ModelSpec.model_validate(header["model"]).backbone
    except (KeyError, ValueError):  # a damaged header, for which there are better words
        return
    try:
        find_backbone(backbone)
    except SpecError as error:
        raise WeightsError(f"{file} was trained with a backbone that is not here: {error}") from error


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the header of a checkpoint without reading its weights; errors as :func:`load_checkpoint`."""
    return _read(path, weights=False)[1]


def _read(source: Source, weights: bool = True) -> tuple[str, dict[str, Any], dict[str, torch.Tensor]]:
    """Return what to call a source, its header and its tensors; every damage is a WeightsError."""
    file, content = _name_and_content(source)
    try:
        metadata, tensors = _parts_of_file(file, weights) if content is None else _parts_of_bytes(content)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{file} is damaged or cut short ({_first_line(error)}); copy it again, or {ADVICE}") from error
    if KEY not in metadata:
        said = f"its header has {', '.join(sorted(metadata))}" if metadata else "it has no header"
        raise WeightsError(f"{file} holds weights, but no fullconv model: {said}; {ADVICE}")
    try:
        header = json.loads(metadata[KEY])
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{file} has a damaged header ({error}); copy it again, or {ADVICE}") from error
    if not isinstance(header, dict):
        raise WeightsError(f"{file} has a header that is no mapping; {ADVICE}")
    return file, header, tensors


def _parts_of_file(file: str, weights: bool) -> tuple[Mapping[str, str], dict[str, torch.Tensor]]:
    with safe_open(file, framework="pt") as content:
        return content.metadata() or {}, {name: content.get_tensor(name) for name in (content.keys() if weights else [])}


def _parts_of_bytes(content: bytes) -> tuple[Mapping[str, str], dict[str, torch.Tensor]]:
    tensors = load(content)  # checks the whole of it, the header's length and form included
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__") or {}, tensors


def _name_and_content(source: Source) -> tuple[str, bytes | None]:
    """Return what to call a source, and the content of what is no path; what is plainly no checkpoint is refused."""
    if isinstance(source, str | os.PathLike):
        path = find_checkpoint(source)
        try:
            if not path.is_file():
                near = "" if path.is_dir() else ", ".join(models_called_like(path))
                what = "it is a folder" if path.is_dir() else "no such file"
                raise WeightsError(f"no checkpoint {path}: {what}; {f'did you mean {near}? Else ' if near else ''}{ADVICE}")
            with path.open("rb") as opened:
                _refuse_other_kinds(str(path), opened.read(8))
        except OSError as error:  # a name that is too long is one too
            raise WeightsError(f"cannot read {path}: {error.strerror}; {ADVICE}") from error
        return str(path), None
    name = getattr(source, "name", None)  # of an open file, unless it was opened by number
    file = name if isinstance(name, str) else "the checkpoint"
    if isinstance(source, io.TextIOBase):
        raise WeightsError(f"{file} is opened as text; open it in mode 'rb'")
    try:
        content = source if isinstance(source, bytes) else source.read()
    except (AttributeError, OSError, ValueError) as error:  # no file at all, one opened for writing, one that is closed
        raise WeightsError(f"{file} cannot be read ({_first_line(error)}); give a path, bytes or an open binary file") from error
    _refuse_other_kinds(file, content[:8])
    return file, content


def _refuse_other_kinds(file: str, start: bytes) -> None:
    """Refuse what the first eight bytes show to be no checkpoint."""
    if not start:
        raise WeightsError(f"{file} is empty; copy it again, or {ADVICE}")
    if int.from_bytes(start, "little") > LONGEST_HEADER and not start.startswith(PICKLES):
        raise WeightsError(f"{file} is no .safetensors file; {ADVICE}")
    if start.startswith(PICKLES):
        raise WeightsError(f"{file} is a pickle (.pt, .pth, .ckpt), which could run code and is never opened; {ADVICE}")


def _first_line(error: Exception) -> str:
    if isinstance(error, FullconvError):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:SAID]}{'…' * (len(text) > SAID)}" if text else type(error).__name__
