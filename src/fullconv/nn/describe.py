"""What the geometry of a model or a backbone is, as one dictionary and as a table."""

import re
from typing import Any

import torch
from rich.table import Table

from fullconv.errors import GeometryError
from fullconv.geometry.axis import Place
from fullconv.geometry.graph import Geometry
from fullconv.nn.assemble import build_on_meta
from fullconv.nn.backbones import BACKBONES, use_backbone
from fullconv.nn.convolutionalize import convolutionalize
from fullconv.nn.weights import weights_at
from fullconv.spec import STRIDES, ModelSpec

CLASSES = 21


def describe(name: str, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return the geometry of a model (``fcn8s-vgg16``) or a backbone (``vgg16``, as a dense classifier), ready for JSON.

    Parameters
    ----------
    name
        Of a model or of a backbone.
    size
        (height, width) of the image in pixels; by default 500x500 for a model, the native size for a backbone.

    Returns
    -------
    dict
        ``stride``: of the coarsest scores, in pixels; ``receptive_field``: of these, in pixels, null when they see the whole
        image; ``crops``, ``kernels``: of the upsamplings, coarse to fine; ``crop_of``: which of the two maps is cropped;
        ``parameters``: number of trained numbers, with 21 classes; ``reach``: farthest pixel that an output pixel depends on,
        in pixels, null when there is no bound; ``min_size``: smallest image side from which on all fit, null when there is none;
        ``layers``; ``global_layers``; ``misaligned``: which merge leaves the scores without one stride and offset (such a net can
        be dense, and no trunk), else null.

    Raises
    ------
    SpecError
        When the name is not known.
    GeometryError
        When ``size`` is below the smallest.
    """
    if re.match(r"fcn\d+s-", name):
        return _describe_model(ModelSpec.named(name), size or (500, 500))
    entry = use_backbone(name)
    with torch.device("meta"):
        dense = convolutionalize(entry.build(), (entry.native_side, entry.native_side))
    geometry = dense.geometry
    found = describe_geometry(name, geometry, -1, size or dense.native_size)
    return found | {"crops": [], "crop_of": [], "kernels": [], "parameters": sum(p.numel() for p in dense.parameters())}


def _describe_model(spec: ModelSpec, size: tuple[int, int]) -> dict[str, Any]:
    use_backbone(spec.backbone)
    model = build_on_meta(spec, {"semantic": CLASSES})
    geometry = model.geometry
    coarse = geometry.index[f"core.heads.semantic.score.{next(iter(model.trunks))}.0"]
    steps = model.alignment.steps
    return describe_geometry(spec.name, geometry, coarse, size) | {
        "crops": [abs(step.crop) for step in steps],
        "crop_of": ["skip" if step.crop < 0 else "upsampled" for step in steps],
        "kernels": [step.kernel for step in steps],
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def describe_geometry(name: str, geometry: Geometry, coarse: int, size: tuple[int, int]) -> dict[str, Any]:
    """Return what :func:`describe` says of any traced net; ``coarse`` is the layer whose stride and receptive field are meant."""
    place, reason = _place(geometry, coarse)
    sizes = geometry.sizes(size)
    layers = []
    for i, layer in enumerate(geometry.layers):
        at, unknown = _place(geometry, i)
        layers.append({
            "name": layer.name.removeprefix("core.trunks.rgb.graph."),
            "kind": layer.kind,
            "stride": float(at.stride) if at else None,
            "receptive_field": None if unknown else geometry.receptive_field(i),
            "offset": float(at.offset) if at else None,
            "size": list(sizes[i]),
        })  # fmt: skip
    return {
        "name": name,
        "size": list(size),
        "stride": int(place.stride) if place else None,
        "receptive_field": None if reason else geometry.receptive_field(coarse),
        "reach": None if reason else geometry.reach(),
        "min_size": _smallest(geometry),
        "layers": layers,
        "misaligned": reason,
        "global_layers": [name.removeprefix("core.trunks.rgb.graph.") for name in geometry.global_layers],
    }


def _place(geometry: Geometry, layer: int) -> tuple[Place | None, str | None]:
    """Return a layer's place, or in words why its pixels have none."""
    try:
        return geometry.place(layer), None
    except GeometryError as error:
        return None, str(error)


def _smallest(geometry: Geometry) -> int | None:
    """Return the smallest image side from which on every side fits, in pixels; ``None`` when there is none."""
    try:
        return geometry.min_size
    except GeometryError:
        return None


def table(found: dict[str, Any]) -> Table:
    """Return the layers of :func:`describe` as a table; what concerns the whole net stands in its caption."""
    rows = Table("layer", "kind", title=f"{found['name']} at {found['size'][0]}×{found['size'][1]}", caption=_caption(found))
    for heading in ("stride", "receptive field", "offset", "size"):
        rows.add_column(heading, justify="right")
    for layer in found["layers"]:
        whole = "" if found["misaligned"] and layer["stride"] is None else "whole image"
        field = whole if layer["receptive_field"] is None else str(layer["receptive_field"])
        offset = "" if layer["offset"] is None else f"{layer['offset']:g}"
        stride = "" if layer["stride"] is None else f"{layer['stride']:g}"
        rows.add_row(layer["name"], layer["kind"], stride, field, offset, "×".join(map(str, layer["size"])))
    return rows


def _caption(found: dict[str, Any]) -> str:
    cuts = ", ".join(f"{k}/{c} ({of})" for k, c, of in zip(found["kernels"], found["crops"], found["crop_of"], strict=True))
    parts = [
        *(_extents(found) if found["misaligned"] is None else [f"no trunk for an FCN: {found['misaligned']}"]),
        f"{found['parameters']:,} parameters",
        f"smallest side {found['min_size']} px" if found["min_size"] else "not every side of an image fits",
    ]
    if cuts:
        parts.append(f"deconvolution kernel/crop, coarse to fine: {cuts}")
    if found["global_layers"]:
        first = ", ".join(found["global_layers"][:3])
        parts.append(
            f"{len(found['global_layers'])} layers see the whole image: {first}{' …' if len(found['global_layers']) > 3 else ''}"
        )
    return "\n".join(parts)


def _extents(found: dict[str, Any]) -> list[str]:
    field = f"{found['receptive_field']} px" if found["receptive_field"] else "whole image"
    reach = f"±{found['reach']} px" if found["reach"] is not None else "whole image"
    return [f"stride {found['stride']}", f"receptive field {field}", f"an output pixel depends on {reach}"]


def overview() -> dict[str, dict[str, Any]]:
    """Return what there is to choose from, by backbone: parameters of the classifier, native side in pixels, padding, strides.

    ``weights`` says where its ImageNet weights are: ``file`` (in ``$FULLCONV_WEIGHTS``), ``package`` (installed), ``download``,
    or null. Nothing is built but our own few nets: torchvision states the parameters of its classifiers.

    Examples
    --------
    >>> overview()["squeezenet1_1"]["parameters"]
    1235496
    """
    return {
        name: {
            "parameters": _classifier_parameters(name),
            "native_side": entry.native_side,
            "padding": entry.padding,
            "weights": weights_at(name),
            "strides": list(STRIDES),
        }
        for name, entry in BACKBONES.items()
    }


def _classifier_parameters(name: str) -> int:
    from fullconv.nn.backbones import torchvision_models  # only here, as the geometry of a net needs no torchvision

    if name in torchvision_models.CLASSIFIERS:
        return torchvision_models.parameters_of(name)
    with torch.device("meta"):
        return sum(p.numel() for p in BACKBONES[name].build().parameters())


def overview_table(found: dict[str, dict[str, Any]]) -> Table:
    """Return :func:`overview` as a table."""
    rows = Table(
        "backbone",
        title="backbones",
        caption="a model is fcn32s-, fcn16s-, fcn8s- or fcn4s- and a backbone: fcn8s-vgg16; timm's are called timm/resnet18 "
        "(extra timm), one's own module:function",
    )
    for heading in ("parameters", "native size", "padding", "weights"):
        rows.add_column(heading, justify="right")
    for name, row in found.items():
        rows.add_row(
            name, f"{row['parameters']:,}", f"{row['native_side']}×{row['native_side']}", row["padding"], row["weights"] or "none"
        )
    return rows
