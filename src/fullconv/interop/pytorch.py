"""State dicts of others' PyTorch code as checkpoints of ours: ports of the published FCNs, and backbones of torchvision and timm.

The popular port (wkentaro/pytorch-fcn) names its layers as the reference does, so its tensors go the way of a caffemodel: a layer
is a name with a weight and a bias. Its deconvolutions are class by class too, and are looked at for anything off the diagonal.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fullconv.errors import SpecError, WeightsError, nearest, some
from fullconv.files import replacing
from fullconv.interop.caffe.caffemodel import Blob, CaffeModel, Layer
from fullconv.interop.caffe.importing import KNOWN, Imported, guess, transplanted
from fullconv.interop.caffe.published import Published
from fullconv.labels import LabelSet
from fullconv.nn.backbones import BACKBONES, Classifier, find_backbone
from fullconv.nn.backbones.timm_models import PREFIX
from fullconv.nn.state_dict import is_state_dict
from fullconv.nn.weights import TransplantReport, Weights, find_weights, read_weights, transplant

PARTS = {"weight": 0, "bias": 1}
ADVICE = (
    "Say --model: of a port of the published nets which one (voc-fcn8s) or which of ours (fcn8s-caffe-vgg16), of a classifier "
    "its backbone (resnet50, timm/resnet18d)"
)


def is_from_pytorch(source: str | os.PathLike[str]) -> bool:
    """Return whether a file is a state dict or tensors, or ``source`` is no file and the name of a backbone."""
    path = Path(source)
    return path.suffix.lower() == ".safetensors" or is_state_dict(path) or (not path.exists() and _is_backbone(str(source)))


def _is_backbone(name: str) -> bool:
    return name in BACKBONES or name.startswith(PREFIX)


@dataclass(frozen=True)
class ImportedBackbone:
    """What a classifier's state dict became: the backbone's ``name``, the ``net``, and what became of every tensor."""

    name: str
    entry: Classifier
    net: nn.Module
    report: TransplantReport

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights with their preprocessing, for ``model.weights`` of a recipe; ends in ``.safetensors``."""
        tensors = {name: tensor.contiguous() for name, tensor in self.net.state_dict().items()}
        with replacing(path) as temporary:
            save_file(tensors, temporary, {"preprocessing": json.dumps(dict(self.entry.preprocessing))})


def import_state_dict(
    source: str | os.PathLike[str], model: str | None = None, classes: tuple[str, ...] = ()
) -> Imported | ImportedBackbone:
    """Return the net of a state dict with its weights.

    Parameters
    ----------
    source
        Path of a ``.pth`` or ``.safetensors``; or the name of a backbone, whose weights are then fetched as training does.
    model
        What it is: a published model (``voc-fcn8s``) or one of our nets of the same layers (``fcn8s-caffe-vgg16``), guessed where
        the names of the layers leave one possibility; or a backbone (``resnet50``, ``timm/resnet18d``).
    classes
        Their names, for a net whose classes are not those of the published one.

    Raises
    ------
    SpecError
        When nothing is called so; when classes have to be named, or are another number.
    WeightsError
        When the file is damaged, holds more than tensors, or fits only in part.
    """
    if not Path(source).exists() and _is_backbone(str(source)):
        if model not in (None, str(source)):
            raise SpecError(f"{source} is the name of a backbone, and --model says {model}: leave one of them out")
        return _backbone(find_weights(str(source)), str(source))
    weights = read_weights(Path(source))
    if model is None or model in KNOWN or model in _our_nets():
        return _fcn(weights, str(source), model, classes)
    return _backbone(weights, model)


def _our_nets() -> dict[str, Published]:
    """Return a published model by our name of its net, the first of those with one head and colour."""
    entries = [entry for entry in KNOWN.values() if isinstance(entry, Published)]
    return {entry.model: entry for entry in reversed(entries)}


def _backbone(weights: Weights, name: str) -> ImportedBackbone:
    try:
        entry = find_backbone(name)
    except SpecError as error:
        near = nearest(name, [*KNOWN, *_our_nets(), *BACKBONES])
        hint = f"; nearest: {', '.join(dict.fromkeys(near))}" if near else f" ({error})"
        raise SpecError(f"no published model, net or backbone is called {name!r}{hint}. {ADVICE}") from error
    with torch.device("meta"):
        net = entry.build()
    net = net.to_empty(device="cpu")
    bad = [key for key, tensor in weights.tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise WeightsError(f"{weights.source}: {some(bad)} hold numbers that are not finite; copy the file again")
    return ImportedBackbone(name, entry, net.eval(), transplant(weights, net))


def _fcn(weights: Weights, source: str, model: str | None, classes: tuple[str, ...]) -> Imported:
    read = as_layers(weights.tensors, source)
    if model is None:
        model = guess(read, ADVICE)
    if model in KNOWN:
        entry = KNOWN[model]
        if classes:
            raise SpecError(f"{model} has classes of its own; leave out --classes, or say --model {_ours(model)}")
        return transplanted(read, model, entry)
    stem = _our_nets()[model]
    entry = replace(stem, labels={"semantic": _labels(read, stem, model, classes)}, scaled=False)
    return transplanted(read, model, entry)


def _ours(model: str) -> str:
    entry = KNOWN[model]
    return entry.model if isinstance(entry, Published) else entry.backbone


def _labels(read: CaffeModel, entry: Published, model: str, classes: tuple[str, ...]) -> LabelSet:
    """Return the classes of a file's scores: as said, or VOC's where it has as many and nothing is said."""
    score = read.weighted.get(entry.places_in(read.weighted)["core.heads.semantic.score.rgb.0"])
    if score is None or not score.blobs[0].shape:
        raise WeightsError(f"{read.source} has no weights for the layer 'score_fr', which {model} needs: it is of another net")
    count = score.blobs[0].shape[0]
    if not classes and count == len(entry.labels["semantic"]):
        return entry.labels["semantic"]
    if len(classes) != count or not all(classes):
        said = f"--classes names {len(classes)}" if classes else "a state dict does not hold their names"
        raise SpecError(f"{read.source} tells {count} classes apart, and {said}: give --classes NAME,NAME,… with {count} names")
    return LabelSet(classes)


def as_layers(tensors: Mapping[str, Tensor], source: str) -> CaffeModel:
    """Return tensors called ``LAYER.weight`` and ``LAYER.bias`` as the layers of a caffemodel; the numbers are not copied.

    Raises
    ------
    WeightsError
        When a tensor is called otherwise.
    """
    if any(name.startswith("core.heads.") for name in tensors):
        raise WeightsError(f"{source} holds a net of fullconv's: a checkpoint is used as it is, by predict and fullconv.load")
    blobs: dict[str, list[tuple[int, Blob]]] = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if not layer or kind not in PARTS or not tensor.is_floating_point():
            raise WeightsError(
                f"{source} holds {name!r:.80}, and in a port of the published nets all is called LAYER.weight or LAYER.bias. "
                f"{ADVICE}"
            )
        wide = tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
        values = wide.contiguous().view(-1).numpy()
        blobs.setdefault(layer, []).append((PARTS[kind], Blob(tuple(tensor.shape), values)))
    made = [
        Layer(name, "", None, tuple(blob for _, blob in sorted(parts, key=lambda part: part[0]))) for name, parts in blobs.items()
    ]
    if not made:
        raise WeightsError(f"{source} holds no tensors. {ADVICE}")
    return CaffeModel(source, tuple(made))
