"""From a spec to a model with random weights: the one place where the parts of an FCN are put together."""

from collections.abc import Mapping

import torch

from fullconv.nn.backbones import Classifier, find_backbone
from fullconv.nn.fcn import FCN, alignment_of
from fullconv.nn.head import Head
from fullconv.nn.trunk import Trunk, build_trunk
from fullconv.spec import ModelSpec, inputs_of


def assemble(spec: ModelSpec, heads: Mapping[str, int], backbone: Classifier | None = None) -> FCN:
    """Return the FCN of a spec with random backbone weights, zero score layers and bilinear upsampling, in training mode.

    Parameters
    ----------
    spec
        Its ``name`` says backbone and stride; its ``weights`` are not loaded, see :func:`fullconv.nn.build.build_model`.
    heads
        Number of classes of each output, such as ``{"semantic": 21}``.
    backbone
        What the trunks are made of, in place of the one that the name says.

    Raises
    ------
    SpecError
        When no backbone is called so (the nearest are named), or it has no map at a stride that is needed.
    GeometryError
        When the backbone's maps cannot be aligned.

    Examples
    --------
    >>> model = assemble(ModelSpec(name="fcn8s-minivgg"), {"semantic": 21})
    >>> model(torch.zeros(1, 3, 37, 50, dtype=torch.uint8))["semantic"].shape
    torch.Size([1, 21, 37, 50])
    """
    entry = backbone or find_backbone(spec.backbone)
    trunks = {stream: _trunk(spec, stream, entry) for stream in spec.streams}
    return put_together(trunks, heads, spec)


def put_together(trunks: Mapping[str, Trunk], heads: Mapping[str, int], spec: ModelSpec) -> FCN:
    """Return the FCN of trunks that are there already; parameters as for :func:`assemble`.

    Raises
    ------
    GeometryError
        When the trunks' maps lie differently on the image, or cannot be aligned.
    """
    alignment = alignment_of(trunks)
    strides = next(iter(trunks.values())).strides
    channels = {stream: [trunk.channels[stride] for stride in strides] for stream, trunk in trunks.items()}
    # the coarsest map is no skip, so it has no factor
    factors = [1.0, *(spec.skip_scales.get(stride, 1.0) for stride in strides[1:])]
    learned = spec.deconvolution == "learned"
    parts = {name: Head(classes, channels, alignment.steps, learned=learned, factors=factors) for name, classes in heads.items()}
    return FCN(trunks, parts, alignment, spec)


def _trunk(spec: ModelSpec, stream: str, entry: Classifier) -> Trunk:
    return build_trunk(
        entry,
        spec.stride,
        channels=sum(spec.channels_of(name) for name in inputs_of(stream)),
        padding=spec.padding,
        centre=spec.centre,
        hidden_layers=spec.hidden_layers,
        dropout=spec.dropout,
    )


def build_on_meta(spec: ModelSpec, heads: Mapping[str, int]) -> FCN:
    """Return the model of a spec without memory for its weights: for its geometry and its number of parameters."""
    with torch.device("meta"):
        return assemble(spec, heads)
