"""From a spec to a model: the one place where the parts of an FCN are put together."""

from collections.abc import Mapping

import torch

from fullconv.nn.backbones import find_backbone
from fullconv.nn.fcn import FCN
from fullconv.nn.normalise import Normalise
from fullconv.nn.trunk import build_trunk
from fullconv.nn.weights import TransplantReport, Weights, find_weights, transplant
from fullconv.spec import ModelSpec


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
    trunk = build_trunk(
        find_backbone(spec.backbone),
        spec.stride,
        padding=spec.padding,
        hidden_layers=spec.hidden_layers,
        dropout=spec.dropout,
    )
    return FCN({"rgb": trunk}, heads, spec)


def load_backbone_weights(model: FCN, name: str | None = None) -> TransplantReport:
    """Put backbone weights into a model, in place, with their preprocessing; return what became of every tensor.

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
    wanted = name or model.spec.weights or "imagenet"
    weights = find_weights(model.spec.backbone if wanted == "imagenet" else wanted)
    for stream, trunk in model.trunks.items():
        report = transplant(weights, trunk.graph, partial=model.spec.partial_weights)  # type: ignore[arg-type]  # a Trunk's graph
        if weights.preprocessing is not None:
            device = next(model.parameters()).device
            model.normalise[stream] = Normalise(weights.preprocessing).to(device)
    return report


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
    # torchvision's regnet computes its widths with tensors, which must hold numbers
    with torch.device("cpu" if spec.backbone.startswith("regnet") else "meta"):
        return build_model(spec, heads)
