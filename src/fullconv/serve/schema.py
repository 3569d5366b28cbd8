"""What OpenAPI says of requests and answers that are not JSON models of their own: images, archives, problems."""

from typing import Any

from fullconv.serve.body import FIELD, FORM, PLAIN
from fullconv.serve.limits import FORMATS
from fullconv.serve.problem import KINDS, MEDIA_TYPE

_BYTES = {"type": "string", "format": "binary"}
_COUNT = {"type": "integer", "minimum": 0}
_COLOR = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}, "minItems": 3, "maxItems": 3}
_NAME = {"type": "string"}
_PAIR = {"type": "array", "items": {"type": ["number", "null"]}, "minItems": 2, "maxItems": 2}
_SPAN = {"type": ["array", "null"], "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}


def _object(properties: dict[str, Any], *further: str) -> dict[str, Any]:
    """Return the schema of an object that has all of ``properties`` but those of ``further``, which it may have."""
    return {"type": "object", "properties": properties, "required": [name for name in properties if name not in further]}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _json(about: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


_PROBLEM = _object({"type": _NAME, "title": _NAME, "status": {"type": "integer"}, "detail": _NAME})


def _problems(status: int) -> dict[str, Any]:
    about = "; or ".join(title for known, title in KINDS.values() if known == status)
    headers = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}} if status in (429, 503) else {}
    return {"description": about, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}, "headers": headers}


_STATUSES = sorted({status for status, _ in KINDS.values()})
PROBLEMS: dict[int | str, dict[str, Any]] = {status: _problems(status) for status in _STATUSES}
"""The answers to what is refused, by status."""

_CLASS = _object({"id": _COUNT, "name": _NAME, "color": _COLOR})
_AREA = _object({**_CLASS["properties"], "pixels": _COUNT, "share": {"type": "number", "minimum": 0, "maximum": 1}})
_FOUND = _object(
    {
        "model": _NAME,
        "head": _NAME,
        "width": _COUNT,
        "height": _COUNT,
        "classes": _list(_AREA),
        "polygons": {"type": "object", "description": "COCO, LabelMe or GeoJSON"},
    },
    "polygons",
)
SEGMENTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "labels, or what the format says",
        "headers": {
            "X-Fullconv-Model": {"description": "the model that was used", "schema": _NAME},
            "X-Fullconv-Seconds": {"description": "since the image had come", "schema": {"type": "number"}},
        },
        "content": {
            "image/png": {"schema": _BYTES},
            "application/json": {"schema": _FOUND},
            "application/zip": {"schema": _BYTES},
        },
    }
}
IMAGE = {
    "requestBody": {
        "required": True,
        "description": f"The bytes of an image file: {', '.join(FORMATS)}.",
        "content": {
            "image/*": {"schema": _BYTES},
            PLAIN: {"schema": _BYTES},
            FORM: {"schema": _object({FIELD: _BYTES})},
        },
    }
}
MODELS = _json(
    "every model, the default first",
    _list(
        _object(
            {
                "name": _NAME,
                "default": {"type": "boolean"},
                "heads": {"type": "object", "additionalProperties": _list(_CLASS)},
                "preprocessing": {"type": "object"},
                "scores": {"type": ["object", "null"]},
                "backbone": _NAME,
                "stride": {"type": "integer"},
            }
        )
    ),
)
_LAYER = _object(
    {"name": _NAME, "kind": _NAME, "inputs": _list(_COUNT), "stride": _PAIR, "receptive_field": _PAIR, "offset": _PAIR}
)
GEOMETRY = _json(
    "pairs are (height, width) in pixels of the image; null where there is no such number",
    _object(
        {
            "name": _NAME,
            "backbone": _NAME,
            "stride": {"type": "integer"},
            "padding": {"type": ["string", "null"]},
            "skips": _list(_COUNT),
            "reach": _PAIR,
            "upsampling": _list(_object({"kernel": _COUNT, "crop": {"type": "integer"}})),
            "layers": _list(_LAYER),
            "depends_on": _object({"layer": _COUNT, "map": _PAIR, "rows": _SPAN, "columns": _SPAN}),
        },
        "depends_on",
    ),
)
STATE = _json("the state", _object({"status": _NAME}))
TEXT = {"description": "Prometheus's text format", "content": {"text/plain": {"schema": _NAME}}}
