"""What the header of a checkpoint or of an exported file says besides the net: how images are read, and what outputs mean."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fullconv.errors import WeightsError
from fullconv.labelmap import LabelMap
from fullconv.labels import LabelSet
from fullconv.spec import ImageSpec


@dataclass(frozen=True)
class HeaderFacts:
    """How images are read and what outputs mean; the fields are those of :class:`fullconv.nn.checkpoint.Checkpoint`."""

    labels: dict[str, LabelSet]
    scale: float
    image: ImageSpec
    label_maps: dict[str, LabelMap]


def facts_of(header: Mapping[str, Any]) -> HeaderFacts:
    """Return what a header says besides the net, of a checkpoint or of an exported file, which has the same keys.

    Raises
    ------
    WeightsError, DataError, KeyError, AttributeError, TypeError, ValueError, OverflowError
        When it is damaged.
    """
    labels = {head: LabelSet.from_dict(classes) for head, classes in header["heads"].items()}
    scale = float(header.get("scale", 1.0))
    if not 0 < scale < math.inf:
        raise WeightsError(f"its scale is {scale:g}, and a factor on height and width is above 0")
    masks = {head: _label_map(labels[head], pairs) for head, pairs in header.get("masks", {}).items()}
    return HeaderFacts(labels, scale, ImageSpec.model_validate(header.get("image", {})), masks)


def _label_map(labels: LabelSet, pairs: Sequence[Sequence[int]]) -> LabelMap:
    meaning = {int(code): int(label) for code, label in pairs}
    if not set(meaning.values()) <= {*range(len(labels)), labels.ignore_index}:
        raise WeightsError(f"its masks' values stand for other labels than those of {len(labels)} classes")
    return LabelMap(labels, meaning)
