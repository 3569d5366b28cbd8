"""How the names of masks follow from those of images: the patterns that a folder's names suggest."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from fullconv.data.folder.names import stem_of

SAMPLE = 400
"""Names that are looked at, spread over the folder."""
MASK_WORDS = ("mask", "label", "gt", "truth", "seg", "annot", "manual", "trimap", "target")
"""What the name of a folder or file says in some form when it holds ground truth."""
OTHER_WORDS = (
    "visual",
    "_vis",
    "overlay",
    "color",
    "colour",
    "instance",
    "object",
    "preview",
    "blend",
    "superpixel",
    "edge",
    "bound",
    "polygon",
)
"""What the name of a folder or file says that is drawn from ground truth for people, or holds another kind of it."""

_MASK, _OTHER = (re.compile("|".join(map(re.escape, words))) for words in (MASK_WORDS, OTHER_WORDS))

Names = Sequence[str]
"""Paths below a folder, with slashes and suffixes."""


def mask_like(name: str) -> bool:
    """Return whether a name says that ground truth of classes is in it.

    Examples
    --------
    >>> [mask_like(name) for name in ("LabeledApproved", "_segmentation", "SegmentationClassVisualization", "img")]
    [True, True, False, False]
    """
    low = name.lower()
    return _MASK.search(low) is not None and _OTHER.search(low) is None


def other_like(name: str) -> bool:
    """Return whether a name says that what is in it is drawn from ground truth, or another kind of it.

    Examples
    --------
    >>> other_like("aachen_gtFine_color"), other_like("aachen_gtFine_labelIds")
    (True, False)
    """
    return _OTHER.search(name.lower()) is not None


def spread(names: Names, most: int = SAMPLE) -> list[str]:
    """Return at most so many of the names, spread over all."""
    step = max(1, -(-len(names) // most))
    return list(names[::step])


def relations(images: Names, masks: Names) -> list[tuple[str, str]]:
    """Return pairs of (image_pattern, pattern) under which most of the names meet, the plainest first.

    Examples
    --------
    >>> relations(["img_001.png", "img_002.png"], ["mask_001.png", "mask_002.png"])
    [('img_{stem}', 'mask_{stem}')]
    >>> relations(["a.jpg", "b.jpg"], ["a_gt.png", "b_gt.png"])
    [('{stem}', '{stem}_gt')]
    """
    firsts = sorted({stem_of(name) for name in spread(images, 4000)})  # of many images a part is enough, of their masks it is not
    seconds = sorted({stem_of(name) for name in masks})
    ours, theirs = ({shape: _keys(stems, shape) for shape in _shapes(stems)} for stems in (firsts, seconds))
    found: list[tuple[int, int, tuple[str, str]]] = []
    for image, keys in ours.items():
        for mask, others in theirs.items():
            shared = len(keys & others)
            if 2 * shared >= max(1, min(len(firsts), len(seconds))) and (image != mask or image == ("", "")):
                found.append((-shared, len("".join(image + mask)), (_pattern(image), _pattern(mask))))
    return [patterns for *_, patterns in sorted(found)]


def _pattern(shape: tuple[str, str]) -> str:
    return f"{shape[0]}{{stem}}{shape[1]}"


def _keys(stems: Iterable[str], shape: tuple[str, str]) -> set[str]:
    before, after = shape
    fit = (stem for stem in stems if stem.startswith(before) and stem.endswith(after) and len(stem) > len(before) + len(after))
    return {stem[len(before) : len(stem) - len(after)] for stem in fit}


def _shapes(stems: Sequence[str]) -> list[tuple[str, str]]:
    """Return what may stand before and behind the key in the names: what at least half of them have, letters in it."""
    counted: Counter[tuple[str, str]] = Counter()
    for stem in spread(stems):
        counted.update({(before, after) for before in _starts(stem) for after in _ends(stem) if len(before + after) < len(stem)})
    least = min(len(stems), SAMPLE) / 2
    return [("", ""), *(shape for shape, count in counted.most_common(40) if count >= least and shape != ("", ""))]


def _starts(stem: str) -> list[str]:
    ends = [match.end() for match in re.finditer(r"[_\-. ]+", stem)][:2]
    led = re.match(r"[^\W\d_]+(?=\d)", stem)
    return ["", *(stem[:end] for end in ends if re.search(r"[^\W\d_]", stem[:end])), *([led[0]] if led else [])]


def _ends(stem: str) -> list[str]:
    starts = [match.start() for match in re.finditer(r"[_\-. ]+", stem)][-3:]
    camel = re.search(r"(?<=[a-z\d])[A-Z][a-z]+$", stem)
    return ["", *(stem[start:] for start in starts if re.search(r"[^\W\d_]", stem[start:])), *([camel[0]] if camel else [])]


def class_endings(images: Names, masks: Names) -> tuple[str, tuple[str, ...]] | None:
    """Return what stands between an image's name and a class in masks of one file a class, and the classes.

    Examples
    --------
    >>> class_endings(["001.jpg", "002.jpg"], ["001_road.png", "001_car.png", "002_road.png"])
    ('_', ('car', 'road'))
    """
    stems = {stem_of(name) for name in images}
    found: dict[str, Counter[str]] = {}
    owned = set()
    for name in spread(masks, 4000):
        stem = stem_of(name)
        for match in re.finditer(r"[_\-. ]+", stem):
            before, ending = stem[: match.start()], stem[match.end() :]
            if before in stems and re.search(r"[^\W\d_]", ending):
                found.setdefault(match[0], Counter())[ending] += 1
                owned.add(before)
    if len(found) != 1 or 2 * len(owned) < len(stems - {stem for stem in stems if _extends(stem, stems)}):
        return None
    ((separator, endings),) = found.items()
    return (separator, tuple(sorted(endings))) if _are_classes(endings) else None


def _extends(stem: str, stems: set[str]) -> bool:
    return any(stem[: match.start()] in stems for match in re.finditer(r"[_\-. ]+", stem))


def _are_classes(found: Counter[str]) -> bool:
    """Return whether endings are names of classes: a few that come again, none of which says what kind of mask it is."""
    words = (*MASK_WORDS, *OTHER_WORDS)
    telling = any(name.lower().strip("_- ") in words or mask_like(name) for name in found)
    return 2 <= len(found) <= 60 and sum(found.values()) >= 2 * len(found) - 1 and not telling
