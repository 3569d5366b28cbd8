"""The coordinate maps of a plain net of Caffe's, from its text alone."""

import os
from typing import Any

from fullconv.errors import SpecError
from fullconv.geometry.trace import trace
from fullconv.interop.caffe.net import build_net
from fullconv.interop.caffe.prototxt import read_prototxt
from fullconv.nn.describe import describe_geometry


def describe_prototxt(path: str | os.PathLike[str], size: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return the geometry of the net of a ``.prototxt``, as :func:`fullconv.nn.describe.describe` does.

    Parameters
    ----------
    path
        Of the text.
    size
        (height, width) of the image in pixels; by default the one that the text states.

    Raises
    ------
    SpecError
        When the text is no net that is built here; when its inputs differ in size.
    GeometryError
        When a layer has no coordinate map, or ``size`` is too small.
    """
    definition = read_prototxt(path)
    stated = {shape[2:] for shape in definition.inputs.values()}
    if len(stated) > 1:
        raise SpecError(f"{definition.source} reads images of several sizes: {', '.join(map(str, sorted(stated)))}")
    net, _ = build_net(definition)
    height, width = stated.pop()
    found = describe_geometry(definition.name or str(path), trace(net), -1, size or (height, width))
    return found | {"crops": [], "crop_of": [], "kernels": [], "parameters": sum(p.numel() for p in net.parameters())}
