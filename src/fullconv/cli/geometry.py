"""``fullconv geometry``: stride, receptive field, offset and size of every layer."""

import json
import re
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.output import show


def geometry(
    name: str, /, *, size: str | None = None, as_json: Annotated[bool, Parameter("--json", negative="")] = False
) -> None:
    """Show stride, receptive field, offset and size of every layer of a model or a backbone.

    Parameters
    ----------
    name
        A model such as fcn8s-caffe-vgg16, or a backbone such as resnet50 (as a dense classifier), timm/resnet18 or, of your own,
        module:function; or the path of a Caffe net's .prototxt.
    size
        Height and width of the image in pixels, such as 375x500.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv geometry fcn8s-caffe-vgg16 --size 500x500
    fullconv geometry resnet50
    """
    from fullconv.interop.caffe.geometry import describe_prototxt
    from fullconv.nn.describe import describe, table

    find = describe_prototxt if name.endswith(".prototxt") else describe
    found = find(name, _size(size) if size else None)
    show(json.dumps(found) if as_json else table(found))


def _size(text: str) -> tuple[int, int]:
    from fullconv.errors import SpecError

    match = re.fullmatch(r"(\d+)[x×](\d+)", text)
    if match is None or not all(int(side) for side in match.groups()):
        raise SpecError(f"{text!r} is no size; write height x width in pixels, such as 375x500")
    return int(match.group(1)), int(match.group(2))
