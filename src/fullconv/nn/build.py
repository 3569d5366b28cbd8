"""From a spec to a model: the one place where the parts of an FCN are put together."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fullconv.nn.backbones import find_backbone
from fullconv.nn.fcn import FCN
from fullconv.nn.normalise import preprocessing_of
from fullconv.nn.trunk import build_trunk, first_convolution, with_more_channels
from fullconv.nn.weights import TransplantReport, Weights, find_weights, transplant
from fullconv.spec import COLORS, INPUT_CHANNELS, ModelSpec, inputs_of


def build_model(spec: ModelSpec, heads: Mapping[str, int]) -> FCN:
    """Return the FCN of a spec with random backbone weights, zero scores and bilinear upsampling, in training mode.

    Parameters
    ----------
    spec
        Its ``name`` says backbone and stride.
    heads
        Number of classes of each output, such as ``{"semantic": 21}``.

    Raises
    ------
    SpecError
        When no backbone is called so (the nearest are named), or it has no map at a stride that is needed.

    Examples
    --------
    >>> model = build_model(ModelSpec(name="fcn8s-minivgg"), {"semantic": 21})
    >>> model(torch.zeros(1, 3, 37, 50, dtype=torch.uint8))["semantic"].shape
    torch.Size([1, 21, 37, 50])
    """
    trunks = {
        stream: build_trunk(
            find_backbone(spec.backbone),
            spec.stride,
            channels=sum(INPUT_CHANNELS[name] for name in inputs_of(stream)),
            padding=spec.padding,
            hidden_layers=spec.hidden_layers,
            dropout=spec.dropout,
        )
        for stream in spec.streams
    }
    return FCN(trunks, heads, spec)


def load_backbone_weights(model: FCN, name: str | None = None) -> TransplantReport:
    """Put backbone weights into every stream of a model, in place, with their preprocessing; return what became of the tensors.

    Of a stream that reads more than three channels, the first layer gets the mean of its weights for the further ones.

    Parameters
    ----------
    model
        From :func:`build_model`.
    name
        A path or a name, see :mod:`fullconv.nn.weights`; by default what the model's spec says. ``imagenet`` stands for the
        backbone's own name.

    Raises
    ------
    WeightsError
        When there are none, or they fit only in part and the spec does not allow that.
    """
    wanted = name or model.spec.weights
    weights = find_weights(wanted if isinstance(wanted, str) and wanted != "imagenet" else model.spec.backbone)
    for trunk in model.trunks.values():
        graph: Any = trunk.graph
        report = transplant(_widened(weights, graph), graph, partial=model.spec.partial_weights)
    if weights.preprocessing is not None:
        model.set_preprocessing({name: preprocessing_of(name, weights.preprocessing) for name in model.inputs})
    return report


def _widened(weights: Weights, graph: nn.Module) -> Weights:
    """Return weights whose first layer takes as many channels as the net's."""
    first = first_convolution(graph)
    name = next(name for name, part in graph.named_modules() if part is first) + ".weight"
    given = weights.tensors.get(name)
    if given is None or given.dim() != first.weight.dim() or not COLORS == given.shape[1] < first.in_channels:
        return weights
    return replace(weights, tensors={**weights.tensors, name: with_more_channels(given, first.in_channels)})


def carry_over(source: FCN, target: FCN) -> TransplantReport:
    """Put the weights of a coarser FCN into a finer one, in place: FCN-32s into FCN-16s, FCN-16s into FCN-8s (section 4.2).

    The new score layers stay zero and the new upsampling bilinear, so the finer net starts from the coarser one's scores.

    Raises
    ------
    WeightsError
        When more than the score and upsampling layers of the new skips gets nothing.
    """
    new = [str(stride) for stride in target.strides if stride not in source.strides]
    fresh = [f"score.{head}.{stream}.{stride}" for head in target.heads for stream in target.trunks for stride in new]
    fresh += [f"upsample.{head}.{stride}" for head in target.heads for stride in (*new, "1")]
    state = {
        name: tensor for name, tensor in source.state_dict().items() if not name.endswith(".1.weight") or "upsample" not in name
    }
    return transplant(Weights(state, source.spec.name, None), target, expected_missing=tuple(fresh))


def build_on_meta(spec: ModelSpec, heads: Mapping[str, int]) -> FCN:
    """Return the model of a spec without memory for its weights: for its geometry and its number of parameters."""
    with torch.device("meta"):
        return build_model(spec, heads)
