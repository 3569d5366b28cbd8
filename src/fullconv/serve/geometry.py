"""The geometry of a net for learners: stride, receptive field and offset of every layer, and what an entry depends on."""

import functools
import re
from typing import Any
from weakref import WeakKeyDictionary

from fullconv.errors import FullconvError, GeometryError
from fullconv.geometry.graph import Geometry
from fullconv.nn.assemble import build_on_meta
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.fcn import FCN
from fullconv.serve.problem import Problem
from fullconv.spec import STRIDES, ModelSpec

TIMM = re.compile(r"timm/[a-z0-9_.]+")
CLASSES = 2
AXES = (0, 1)
"""Vertical and horizontal: pairs are (height, width)."""
_TRACED: "WeakKeyDictionary[FCN, Geometry]" = WeakKeyDictionary()
_DESCRIBED: "WeakKeyDictionary[FCN, list[dict[str, Any]]]" = WeakKeyDictionary()
"""Tracing a net and describing its layers takes a second; the net of a model that was loaded again leaves by itself."""


def geometry_of(net: FCN) -> Geometry:
    """Return the geometry of a net, traced once."""
    found = _TRACED.get(net)
    if found is None:
        found = _TRACED[net] = net.geometry
    return found


def describe_net(net: FCN, name: str) -> dict[str, Any]:
    """Return stride, receptive field and offset (h, w) in pixels of every layer of a net, JSON-able.

    A value is null where there is none: a layer that sees the whole image has no receptive field, and one whose map is a single
    value no stride. ``reach`` is how far away the farthest pixel is that an output depends on; ``upsampling`` says what puts
    the coarse maps on the finer ones, coarse to fine, ``skips`` from which strides.
    """
    geometry = geometry_of(net)
    return {
        "name": name,
        "backbone": net.spec.backbone,
        "stride": net.spec.stride,
        "padding": net.spec.padding,
        "skips": list(net.strides),
        "reach": [_or_none(geometry.reach, -1, axis) for axis in AXES],
        "upsampling": [{"kernel": step.kernel, "crop": step.crop} for step in net.alignment.steps],
        "layers": _layers(net),
    }


def _layers(net: FCN) -> list[dict[str, Any]]:
    found = _DESCRIBED.get(net)
    if found is None:
        geometry = geometry_of(net)
        found = _DESCRIBED[net] = [_layer(geometry, place) for place in range(len(geometry.layers))]
    return found


def _layer(geometry: Geometry, place: int) -> dict[str, Any]:
    layer = geometry.layers[place]
    at = [_or_none(geometry.place, place, axis) for axis in AXES]
    return {
        "name": layer.name.removeprefix("core.trunks.rgb.graph."),
        "kind": layer.kind,
        "inputs": list(layer.inputs),
        "stride": [float(one.stride) if one else None for one in at],
        "receptive_field": [_or_none(geometry.receptive_field, place, axis) for axis in AXES],
        "offset": [float(one.offset) if one else None for one in at],
    }


def _or_none(ask: Any, place: int, axis: int) -> Any:
    try:
        return ask(place, axis)
    except GeometryError:  # of maps whose pixels do not lie on each other
        return None


def depends_on(net: FCN, layer: int, at: tuple[int, int], size: tuple[int, int]) -> dict[str, Any]:
    """Return the size of a layer's map for an image, and the pixels that one entry of it depends on, first and last.

    Parameters
    ----------
    net
        Traced.
    layer
        Its place among ``layers`` of :func:`describe_net`.
    at
        Row and column of the entry.
    size
        Height and width of the image in pixels.

    Raises
    ------
    Problem
        When there is no such layer or entry, or the image is too small.
    """
    geometry = geometry_of(net)
    if not 0 <= layer < len(geometry.layers):
        raise Problem("bad-request", f"there is no layer {layer}; there are 0 to {len(geometry.layers) - 1}")
    try:
        height, width = geometry.sizes(size)[layer]
    except GeometryError as error:
        raise Problem("bad-request", str(error)) from error
    if at[0] >= height or at[1] >= width:
        raise Problem("bad-request", f"the map of layer {layer} has {height}×{width} entries; got row {at[0]}, column {at[1]}")
    spans = [geometry.depends_on(layer, (at[axis], at[axis]), axis, size[axis]) for axis in AXES]
    rows, columns = (list(span) if span else None for span in spans)
    return {"layer": layer, "map": [height, width], "rows": rows, "columns": columns}


def build_net(backbone: str, stride: int, padding: str | None) -> FCN:
    """Return an FCN without memory for its weights, of a backbone that fullconv or timm has.

    Raises
    ------
    Problem
        When there is no such backbone, or no such net of it.
    """
    if backbone not in BACKBONES and not TIMM.fullmatch(backbone):
        raise Problem("not-found", "no backbone is called so; `fullconv models` lists them")
    if stride not in STRIDES:
        raise Problem("bad-request", f"no net has the stride {stride}; accepted are {', '.join(map(str, STRIDES))}")
    return _build(backbone, stride, padding)


@functools.lru_cache(maxsize=16)
def _build(backbone: str, stride: int, padding: str | None) -> FCN:
    try:
        spec = ModelSpec.model_validate({"name": f"fcn{stride}s-{backbone}", "padding": padding})
        return build_on_meta(spec, {"semantic": CLASSES})
    except FullconvError as error:
        raise Problem("not-found", str(error)) from error
