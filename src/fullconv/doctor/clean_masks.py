"""Masks freed of what smoothing and JPEG leave along borders: each speck becomes one of the classes beside it.

What is certain stays: codes with a meaning that fill areas. A code without one takes, of the classes within :data:`REACH` pixels
(JPEG's blocks are 8), the one that is nearest in value or colour, and of equally near ones the closest in place.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from fullconv.data.stored_mask import LOSSY, Stored
from fullconv.doctor.context import Survey
from fullconv.doctor.facts import MaskFacts
from fullconv.doctor.mask_checks import has_specks, is_frayed
from fullconv.labelmap import COLOR, LabelMap, codes_of, color_of

REACH = 8


def is_worn(mask: MaskFacts, label_map: LabelMap) -> bool:
    """Return whether a mask has specks of smoothing or JPEG: codes without a meaning, or several of one class."""
    if label_map.has_alpha or mask.codes > len(mask.pixels):
        return False
    if mask.unknown(label_map):
        return mask.kind in LOSSY or is_frayed(mask, label_map)
    merged = mask.codes > len({label_map.meaning[code] for code in mask.pixels})
    return (merged and mask.kind in LOSSY) or has_specks(mask, label_map)


def cleaned(stored: Stored, path: Path, label_map: LabelMap, surveys: Iterable[Survey]) -> Image.Image:
    """Return a mask in which every pixel has a code with a meaning, and every class the one that most of its pixels have."""
    colors = stored.shown() if label_map.has_colors else stored.undeclared()
    codes = codes_of(colors)
    counts: Counter[int] = Counter()
    for survey in surveys:
        counts.update(survey.pixels)
    found = np.unique(codes)
    known = [int(code) for code in found if int(code) in label_map.meaning]
    main = {code: max(label_map.codes(label_map.meaning[code]), key=lambda each: (counts[each], -each)) for code in known}
    certain = {code: np.isin(codes, [other for other in known if main[other] == code]) for code in sorted(set(main.values()))}
    result = np.zeros_like(codes)
    for code, where in certain.items():
        result[where] = code
    strange = ~np.isin(codes, known)
    if certain and strange.any():
        result[strange] = _nearest(codes, strange, certain)
    return _image(result)


def _nearest(codes: NDArray[np.int64], strange: NDArray[np.bool_], certain: dict[int, NDArray[np.bool_]]) -> NDArray[np.int64]:
    """Return the code for each strange pixel: of those in reach the most like it, then the closest."""
    kept = np.array(list(certain))
    here = codes[strange]
    apart = np.stack([_difference(here, code) for code in kept.tolist()])
    away = np.stack([ndimage.distance_transform_edt(~where)[strange] for where in certain.values()])
    reach = np.where(away <= REACH, away, np.inf)
    none = np.isinf(reach).all(0)
    reach[:, none] = away[:, none]
    cost = np.where(np.isinf(reach), np.inf, apart + 1e-3 * np.minimum(reach, 100))
    return kept[cost.argmin(0)]


def _difference(codes: NDArray[np.int64], code: int) -> NDArray[np.float64]:
    if code < COLOR:
        return np.abs(codes - code).astype(np.float64)
    color = color_of(code)
    parts = [((codes >> shift) & 255) - part for shift, part in zip((16, 8, 0), color, strict=True)]
    return np.sqrt(sum(part.astype(np.float64) ** 2 for part in parts))


def _image(codes: NDArray[np.int64]) -> Image.Image:
    if codes.max() < COLOR:
        return Image.fromarray(codes.astype(np.uint8 if codes.max() <= 255 else np.uint16))
    return Image.fromarray(np.stack([(codes >> shift) & 255 for shift in (16, 8, 0)], 2).astype(np.uint8))
