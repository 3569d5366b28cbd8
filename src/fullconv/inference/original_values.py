"""Labels as the masks of training stored them: the way back through a label map."""

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import DataError
from fullconv.labelmap import ALPHA, COLOR, LabelMap, color_of

LARGEST_VALUE = 65535
"""That a mask of 16 bits can hold."""


def original_mask(labels: NDArray[np.integer], label_map: LabelMap) -> NDArray[np.integer]:
    """Return a mask of ``labels`` (H, W) as its data set stores it; :meth:`fullconv.labelmap.LabelMap.apply` gives them again.

    Each class has the first of its values that were declared: uint8 (H, W), or uint16 where any declared value is above 255.
    Where some class has no value, each has the first of its colours: uint8 (H, W, 3).

    Raises
    ------
    DataError
        When some classes have values and others only colours; when a class has no value from 0 to 65535, or nothing but alpha.

    Examples
    --------
    >>> from fullconv.labelmap import parse_label_map
    >>> original_mask(np.array([[0, 1]]), parse_label_map({"road": [7, 8], "sky": 300})).tolist()
    [[7, 300]]
    """
    classes = range(len(label_map.labels))
    values: dict[int, int] = {}
    colors: dict[int, int] = {}
    for code, label in label_map.meaning.items():
        if code >= COLOR:
            colors.setdefault(label, code)
        elif 0 <= code <= LARGEST_VALUE:
            values.setdefault(label, code)
    chosen = values if all(label in values for label in classes) else colors
    lack = [label_map.labels.names[label] for label in classes if label not in chosen]
    if lack:
        raise DataError(
            f"{', '.join(lack)} {'have' if len(lack) > 1 else 'has'} no {'value' if chosen is values else 'colour'} from 0 to "
            f"{LARGEST_VALUE} in data.labels that a mask could hold beside the others'; leave the values out"
        )
    table = np.array([chosen[label] for label in classes], np.int64)
    if chosen is colors:
        return np.array([color_of(int(code)) for code in table], np.uint8)[labels]
    deep = max(code for code in label_map.meaning if code < ALPHA) > 255
    return table.astype(np.uint16 if deep else np.uint8)[labels]
