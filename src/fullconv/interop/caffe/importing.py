"""A published caffemodel as a checkpoint of ours, or, for a classifier, as weights of a backbone."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from fullconv.errors import SpecError, WeightsError, nearest, some
from fullconv.files import replacing
from fullconv.interop.caffe.caffemodel import CaffeModel, read_caffemodel
from fullconv.interop.caffe.published import CLASSIFIERS, PUBLISHED, Published, PublishedClassifier
from fullconv.interop.caffe.transplant import Transplant, is_for_training, refuse_left_over
from fullconv.nn.assemble import build_on_meta
from fullconv.nn.backbones import find_backbone
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.nn.normalise import CAFFE, preprocessing_of
from fullconv.nn.weights import TransplantReport

KNOWN: dict[str, Published | PublishedClassifier] = {**PUBLISHED, **CLASSIFIERS}
ADVICE = "Say --model if you know it, or give its definition by --prototxt to import it as a plain net"
CAST = ("", "-conv", "_conv")
"""What casts of classifiers have behind the names of dense layers."""


@dataclass(frozen=True)
class Imported:
    """What a file became: the model's ``name`` and ``entry``, the ``net`` in evaluation mode, what became of every tensor."""

    name: str
    entry: Published | PublishedClassifier
    net: nn.Module
    report: TransplantReport

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, or of a classifier the weights of a backbone with their preprocessing; ends in ``.safetensors``."""
        entry = self.entry
        if isinstance(self.net, FCN) and isinstance(entry, Published):
            history = [{"stage": f"imported from {os.path.basename(self.report.source)}", "published": self.name}]  # noqa: PTH119  # a text, of which the last part is shown
            save_checkpoint(path, self.net, entry.labels, history)
            return
        assert isinstance(entry, PublishedClassifier)
        stated = json.dumps(CAFFE | {"mean": list(entry.mean)})
        with replacing(path) as temporary:
            save_file(dict(self.net.state_dict()), temporary, {"preprocessing": stated})


def import_caffemodel(path: str | os.PathLike[str], model: str | None = None) -> Imported:
    """Return the net of a published caffemodel with its weights, label sets and means.

    Parameters
    ----------
    path
        Of a ``.caffemodel``.
    model
        Which of :data:`PUBLISHED` or of the classifiers it is, such as ``voc-fcn8s``; guessed from the names of its layers where
        these leave one possibility.

    Raises
    ------
    SpecError
        When no published model is called so.
    WeightsError
        When the file is damaged; when it is of none of the models, fits one only in part, or could be several.
    """
    if model is not None and model not in KNOWN:
        raise SpecError(
            f"no published model is called {model!r}; nearest: {', '.join(nearest(model, KNOWN)) or 'none'}; there are "
            f"{', '.join(KNOWN)}"
        )
    read = read_caffemodel(path)
    name = model or guess(read)
    return transplanted(read, name, KNOWN[name])


def transplanted(model: CaffeModel, name: str, entry: Published | PublishedClassifier) -> Imported:
    """Return the net of ``entry``, called ``name``, with the weights of a file; errors as :func:`import_caffemodel`."""
    net, report = _fcn(model, entry) if isinstance(entry, Published) else _classifier(model, entry)
    return Imported(name, entry, net.eval(), report)


def guess(model: CaffeModel, advice: str = ADVICE) -> str:
    """Return which published model a file is, by the names of its layers and the number of its classes; errors as above."""
    faults = {name: _mismatch(model, entry) for name, entry in KNOWN.items()}
    found = [name for name, fault in faults.items() if not fault]
    if len(found) == 1:
        return found[0]
    if found:
        raise WeightsError(f"{model.source} could be {' or '.join(found)}, which have the same layers; say which by --model")
    near = min(faults, key=lambda name: len(faults[name]))
    raise WeightsError(
        f"{model.source} is none of the published models; nearest: {near}, without {some(sorted(faults[near]), 4)}. {advice}"
    )


def _mismatch(model: CaffeModel, entry: Published | PublishedClassifier) -> set[str]:
    """Return the names of layers that a file and a published model do not share, or share with other classes."""
    own = model.weighted
    if isinstance(entry, PublishedClassifier):
        places = _cast_places(model, entry)
        fault = {n for n in {*places.values()} ^ set(own) if not (n.startswith(entry.dropped or ("\0",)))}
        return fault if _norm_reads(model) in (entry.norm_reads, None) else fault | {"norm1"}
    wanted = {*entry.places_in(own).values(), *entry.scales.values()}
    classes = {name for name, count in entry.classes_in(own).items() if name in own and count not in own[name].blobs[0].shape[:1]}
    return (wanted ^ set(own)) | classes


def _norm_reads(model: CaffeModel) -> str | None:
    return next((layer.settings.bottom[0] for layer in model.layers if layer.name == "norm1" and layer.settings.bottom), None)


def _cast_places(model: CaffeModel, entry: PublishedClassifier) -> dict[str, str]:
    """Return the places of a classifier under the names that its file has; the last is left out where a cast lacks it."""
    own = model.weighted
    found = {path: next((name + end for end in CAST if name + end in own), name) for path, name in entry.places.items()}
    last = list(found)[-1]
    cast = next((layer for layer in own.values() if layer.name.startswith("fc6")), None)
    if found[last] not in own and (cast is None or cast.kind == "Convolution"):
        del found[last]
    return found


def _fcn(model: CaffeModel, entry: Published) -> tuple[FCN, TransplantReport]:
    scales = {stride: _scale(model, name) for stride, name in entry.scales.items()}
    places = entry.places_in(model.weighted)
    refuse_left_over(model, {*places.values(), *entry.scales.values()})
    spec = entry.spec.model_copy(update={"skip_scales": scales})
    # without memory first: what random weights would fill is filled once, from the file
    net = build_on_meta(spec, {head: len(labels) for head, labels in entry.labels.items()}).to_empty(device="cpu")
    colors = find_backbone(spec.backbone).preprocessing
    net.set_preprocessing({name: preprocessing_of(name, colors) for name in net.inputs} | entry.preprocessing())
    work = Transplant(model)
    work.fill(net, places)
    _fold_offsets(model, net, work.offsets)
    work.report.cast.extend(f"skip_scales.{stride}" for stride in scales)
    work.drop([layer.name for layer in model.layers if is_for_training(layer.kind)])
    return net, work.report


def _fold_offsets(model: CaffeModel, net: FCN, offsets: Mapping[str, NDArray[np.float32]]) -> None:
    """Put what an upsampling adds to each class into the skip that it is added to, in place: the sums are the same.

    The first release's ``score2`` has such an offset, and ours have none.
    """
    for path, offset in offsets.items():
        head, step = path.split(".")[2], int(path.split(".")[-1])
        if step + 1 == len(net.strides):
            raise WeightsError(
                f"{model.source}: its last upsampling adds an offset to each class, and no published model's does; "
                "import it as a plain net with --prototxt"
            )
        score = net.get_submodule(f"core.heads.{head}.score.{next(iter(net.trunks))}.{step + 1}")
        with torch.no_grad():
            score.get_parameter("bias").add_(torch.from_numpy(offset))


def _scale(model: CaffeModel, name: str) -> float:
    layer = model.weighted.get(name)
    values = np.zeros(0) if layer is None else layer.blobs[0].values
    if not len(values) or (values != values[0]).any():
        raise WeightsError(f"{model.source}: layer {name!r} is not one factor for all channels, as the published model has it")
    return float(str(np.float32(values[0])))  # 0.01, and not what float32 makes of it


def _classifier(model: CaffeModel, entry: PublishedClassifier) -> tuple[nn.Module, TransplantReport]:
    places = _cast_places(model, entry)
    auxiliary = [name for name in model.weighted if name.startswith(entry.dropped or ("\0",))]
    refuse_left_over(model, {*places.values(), *auxiliary})
    with torch.device("meta"):
        net = find_backbone(entry.backbone).build()
    missing = [path for path in entry.places if path not in places]
    for path in missing:
        net.set_submodule(path, nn.Identity())
    net = net.to_empty(device="cpu")
    # a cast may pad its first layer as far as it likes: our nets say by themselves how images are padded
    work = Transplant(model, any_padding=next(iter(places.values())))
    work.fill(net, places)
    work.report.missing.extend(missing)
    work.drop([*auxiliary, *(layer.name for layer in model.layers if is_for_training(layer.kind))])
    return net, work.report
