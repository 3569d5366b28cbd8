"""Weights of a caffemodel into our net: each blob is found by its layer's name, checked, and brought into our shape."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fullconv.errors import WeightsError, some
from fullconv.interop.caffe.caffemodel import Blob, CaffeModel, Layer, fits, shape_text
from fullconv.nn.upsample import Deconvolution
from fullconv.nn.weights import TransplantReport

TRAINING_ONLY = frozenset(
    {
        *("Accuracy", "Data", "DummyData", "EuclideanLoss", "HDF5Data", "HDF5Output", "HingeLoss", "ImageData", "InfogainLoss"),
        *("ContrastiveLoss", "MemoryData", "MultinomialLogisticLoss", "Python", "SigmoidCrossEntropyLoss", "Silence"),
        *("SoftmaxWithLoss", "WindowData"),
    }
)
"""Types of layers that bring data or measure a loss."""


def is_for_training(kind: str) -> bool:
    """Return whether a layer of this type only brings data or measures a loss; types of others' own end in Loss or Data."""
    return kind in TRAINING_ONLY or kind.endswith(("Loss", "Data"))


@dataclass
class Transplant:
    """Fills the parts of a net with the blobs of a file and keeps account of them.

    Parameters
    ----------
    model
        The file.
    any_padding
        Name of a layer whose padding may differ from ours.
    """

    model: CaffeModel
    any_padding: str | None = None
    report: TransplantReport = field(init=False)
    offsets: dict[str, NDArray[np.float32]] = field(init=False, default_factory=dict)
    """What upsamplings add to each class, by the path of our module, which has no place for it; those of zeros are not noted."""

    def __post_init__(self) -> None:
        self.report = TransplantReport(self.model.source)

    def fill(self, net: nn.Module, places: Mapping[str, str]) -> None:
        """Copy the blobs of the layers ``places`` (Caffe's name by the path of our module) into ``net``, in place.

        Raises
        ------
        WeightsError
            When a layer is missing, has other blobs or shapes (both are named), works in another way (stride, dilation, groups),
            or holds numbers that are not finite.
        """
        layers = self.model.weighted
        for path, name in places.items():
            part = net.get_submodule(path)
            layer = layers.get(name)
            if layer is None:
                raise WeightsError(f"{self.model.source} has no weights for the layer {name!r}, which this model needs")
            self._check_work(layer, part)
            targets = dict(part.named_parameters(recurse=False)) | dict(part.named_buffers(recurse=False))
            blobs = layer.blobs
            if isinstance(part, Deconvolution) and len(blobs) == 2:
                self._note_offset(path, layer, part)
                blobs = blobs[:1]
            if len(blobs) != len(targets):
                raise WeightsError(
                    f"{self.model.source}: layer {name!r} has {len(layer.blobs)} blobs and not {len(targets)} "
                    f"({', '.join(targets)}): it is of another net"
                )
            for (kind, target), blob in zip(targets.items(), blobs, strict=True):
                dense = isinstance(part, Deconvolution) and not fits(blob.shape, tuple(target.shape))
                taken = _depth_wise(layer, blob, target) if dense else blob
                _check_shape(layer, taken, target)
                copy_numbers(self.model, name, taken, target)
                same = tuple(target.shape) == blob.shape and blob.values.dtype == np.float32
                (self.report.copied if same else self.report.cast).append(f"{path}.{kind}")

    def _note_offset(self, path: str, layer: Layer, part: Deconvolution) -> None:
        offset = layer.blobs[1]
        if not fits(offset.shape, (len(part.weight),)):
            raise _wrong_shape(layer, offset, (len(part.weight),))
        numbers = offset.array().ravel()
        if not np.isfinite(numbers).all():
            raise WeightsError(
                f"{self.model.source}: layer {layer.name!r} holds numbers that are not finite; copy the file again"
            )
        if numbers.any():
            self.offsets[path] = numbers

    def drop(self, names: list[str]) -> None:
        """Note layers that are passed over."""
        self.report.dropped.extend(names)

    def _check_work(self, layer: Layer, part: nn.Module) -> None:
        """Refuse a convolution that the file says works otherwise than ours."""
        if layer.kind not in ("Convolution", "Deconvolution") or not layer.settings.HasField("convolution_param"):
            return
        said = layer.settings.convolution_param
        if isinstance(part, Deconvolution):
            ours = {"stride": part.factor, "pad": 0, "dilation": 1}
        elif isinstance(part, nn.Conv2d):
            ours = {"stride": part.stride[0], "pad": part.padding[0], "dilation": part.dilation[0], "group": part.groups}  # type: ignore[dict-item]  # a number, as no padding is called "same"
        else:
            return
        theirs = {
            "stride": (said.stride_h if said.HasField("stride_h") else 0) or next(iter(said.stride), 1),
            "pad": (said.pad_h if said.HasField("pad_h") else 0) or next(iter(said.pad), 0),
            "dilation": next(iter(said.dilation), 1),
            "group": said.group,
        }
        if layer.name == self.any_padding:
            ours.pop("pad")
        for key, value in ours.items():
            if theirs[key] != value:
                raise WeightsError(
                    f"{self.model.source}: layer {layer.name!r} has {key} {theirs[key]}, and this model's has {value}: it is "
                    "another net with the same names; import it as a plain net with --prototxt"
                )


def _check_shape(layer: Layer, blob: Blob, target: Tensor) -> None:
    """Refuse a blob whose shape is neither the target's nor that of the dense layer, or the convolution, that it is a cast of."""
    wanted = tuple(target.shape)
    shapes = [wanted]
    if len(wanted) == 4:
        shapes.append((wanted[0], wanted[1] * wanted[2] * wanted[3]))
    if len(wanted) == 2 and len(blob.shape) == 4 and prod(blob.shape[1:]) == wanted[1]:
        shapes.append((wanted[0], *blob.shape[1:]))
    if not any(fits(blob.shape, shape) for shape in shapes):
        raise _wrong_shape(layer, blob, wanted)


def _depth_wise(layer: Layer, blob: Blob, target: Tensor) -> Blob:
    """Return the diagonal of a dense class-by-class deconvolution, after looking that all else is zero."""
    classes, _, *kernel = target.shape
    if blob.shape != (classes, classes, *kernel):
        raise _wrong_shape(layer, blob, (classes, classes, *kernel))
    dense = blob.array()
    diagonal = dense[np.arange(classes), np.arange(classes)].copy()
    if mixed := np.count_nonzero(dense) - np.count_nonzero(diagonal):
        raise WeightsError(
            f"layer {layer.name!r} mixes classes: {mixed:,} numbers off the diagonal of its deconvolution are not zero, and ours "
            "upsamples each class by itself; import it as a plain net with --prototxt"
        )
    return Blob((classes, 1, *kernel), diagonal.ravel())


def copy_numbers(model: CaffeModel, name: str, blob: Blob, target: Tensor) -> None:
    """Copy a blob into a contiguous tensor of as many numbers, in place, and let go of the file's pages meanwhile.

    Raises
    ------
    WeightsError
        When a number is not finite.
    """
    flat = target.detach().view(-1)
    for place, values in blob.blocks():
        if not np.isfinite(values).all():
            raise WeightsError(f"{model.source}: layer {name!r} holds numbers that are not finite; copy the file again")
        flat[place].copy_(torch.from_numpy(values))
        model.release()


def _wrong_shape(layer: Layer, blob: Blob, wanted: tuple[int, ...]) -> WeightsError:
    return WeightsError(
        f"layer {layer.name!r} is {shape_text(blob.shape)} in the file, and the net's is {shape_text(wanted)}: it is of "
        "another net"
    )


def refuse_left_over(model: CaffeModel, used: set[str]) -> None:
    """Refuse layers with weights that a net has no place for."""
    left = [name for name in model.weighted if name not in used]
    if left:
        raise WeightsError(
            f"{model.source} fits only in part: {len(left)} of its {len(model.weighted)} layers with weights have no place in "
            f"this model ({some(left)}), so it is of another net"
        )
