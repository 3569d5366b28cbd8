"""What an exported file says of itself: the keys of a checkpoint's header, and these.

======================  =================================================================================================
``export_format``       1
``gives``               ``logits``, or ``labels`` where pixels are embedded
``precision``           ``fp32``, ``fp16`` or ``int8``
``inputs``              by name: ``dtype``, ``layout`` (``NCHW`` or ``NHWC``) and ``channels``; colour and HHA in 0–255, RGB
                        order, depth in metres. The file normalises by itself: ``preprocessing`` says what it does
``threshold``           of two classes: the probability from which on a pixel is of the one that is no background; or null
``tiling``              ``halo``: how many pixels around a tile its logits depend on, null where they depend on the whole image;
                        ``grid``: tiles begin at multiples of so many pixels. Both at the scale of the net
``weights_sha256``      of OpenVINO: the checksum of the ``.bin`` beside it
``parity``              how far the file is from the checkpoint, see :class:`fullconv.interop.export.parity.Parity`
======================  =================================================================================================

``scale`` says by which factor images are resized before the net sees them, and logits afterwards the other way; the file does not
do it.
"""

import math
from importlib.metadata import version
from typing import Any

from fullconv.errors import GeometryError
from fullconv.inference.exported import FORMAT
from fullconv.interop.export.graph import dtype_of
from fullconv.nn.checkpoint import Checkpoint
from fullconv.nn.fcn import FCN

VERSIONS = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
    "torch": (),
}


def tiling_of(model: FCN) -> dict[str, int | None]:
    """Return the halo and the grid of exact tiling in pixels, from the net's geometry.

    A net on a tile gives the logits that it gives on the whole image, at the pixels that are at least ``halo`` away from those
    edges of the tile that are no edges of the image, when the tile begins at multiples of ``grid``.

    Examples
    --------
    >>> from fullconv.nn.build import build_model
    >>> tiling_of(build_model("fcn32s-minivgg", 2))["grid"]
    32
    """
    geometry = model.geometry
    try:
        reaches = [geometry.reach(axis=axis) for axis in (0, 1)]
    except GeometryError:  # maps without one stride and offset
        reaches = [None]
    strides = [place.stride for place in model.alignment.places]
    return {
        "halo": None if None in reaches else max(reach for reach in reaches if reach is not None),
        "grid": math.lcm(*(stride.numerator for stride in strides)),
    }


def describe(
    checkpoint: Checkpoint, format: str, *, pixels: bool, precision: str, threshold: float | None, parity: dict[str, Any] | None
) -> dict[str, Any]:
    """Return what a file of a checkpoint says of itself."""
    header, model = checkpoint.header, checkpoint.model
    said = {key: header[key] for key in ("model", "heads", "preprocessing", "history") if key in header}
    inputs = {
        name: {
            "dtype": str(dtype_of(name, pixels)).removeprefix("torch."),
            "layout": "NHWC" if pixels else "NCHW",
            "channels": model.channels_of(name),
        }
        for name in model.inputs
    }
    return said | {
        "export_format": FORMAT,
        "gives": "labels" if pixels else "logits",
        "precision": precision,
        "inputs": inputs,
        "image": header.get("image", {}),
        "masks": header.get("masks", {}),
        "scale": checkpoint.scale,
        "threshold": threshold,
        "tiling": tiling_of(model),
        "parity": parity,
        "versions": {name: version(name) for name in ("fullconv", "torch", *VERSIONS[format])},
    }
