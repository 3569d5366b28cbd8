"""Which pairs of a folder fall to training, validation and test, where it has no splits of its own.

What is drawn are groups of images, each an image of its own unless ``data.folder.group`` says otherwise. The seed and a group's
name are hashed to a number in 0..1. Numbers below the share of test go to test, the next ones to val, the others to train: this
depends on the name alone, so nothing that is added moves any. But among few images chance deviates much from the share, so it is
brought back where it is further from it than half an image or a fifth of the share (of the rest, where that is less), by the
groups that are next in rank. What holds, and is tested:

- One seed and the same names give the same splits, in whatever order, on every machine.
- From two images on there is one to train on and one to validate on, from three on one for test too, if it has a share.
- Of single images, their number is the nearest to the share, or within a fifth of it.
- A single image that is added moves no other one as long as the draw itself is that near; else at most one (of a draw with test
  at most three). Groups are never cut; as they have different sizes, their shares are as near as whole groups allow.

No rule can keep exact shares of any number of images and never move one, unless it remembers: ``data.folder.splits`` names a
file of an earlier draw, such as the ``splits.csv`` of a run. Then nothing moves.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from fullconv.errors import DataError
from fullconv.spec import FolderSpec

TRAIN, VAL, TEST = SPLITS = ("train", "val", "test")
NEAR = 0.2
"""How far from the share, as a part of it, draws are left as they are."""


def drawn_split(
    names: Mapping[str, str] | Sequence[str], split: str, folder: FolderSpec, kept: Mapping[str, str] | None = None
) -> list[str]:
    """Return the names that fall to ``split``, in their order; arguments are those of :func:`draw_splits`.

    Raises
    ------
    DataError
        When there is no such split, or nothing falls to it.
    """
    if split not in SPLITS:
        raise DataError(f"no split {split!r}: the folder has none of its own, and those drawn are {', '.join(SPLITS)}")
    groups = names if isinstance(names, Mapping) else {name: name for name in names}
    drawn = draw_splits(groups, folder, kept)
    chosen = [name for name in groups if drawn[name] == split]
    if not chosen:
        raise DataError(_why_none(groups, split, folder))
    return chosen


def _why_none(groups: Mapping[str, str], split: str, folder: FolderSpec) -> str:
    count, distinct = len(groups), len(set(groups.values()))
    what = f"{count} image{'s' if count > 1 else ''}" + (
        f" in {distinct} group{'s' if distinct > 1 else ''}" * (count > distinct)
    )
    if split == TEST and folder.test_share and distinct < 3:
        return f"no split 'test' can be drawn from {what}: it takes three, one for each split"
    if split == VAL and distinct < 2 and (folder.folds or folder.val_share):
        return f"no split 'val' can be drawn from {what}: it takes two; add some, or set data.val: train to measure on the same"
    return (
        f"none of {what} falls to the split {split!r} with data.folder.val_share {folder.val_share}, test_share "
        f"{folder.test_share} and seed {folder.seed}; give it a larger share"
    )


def draw_splits(groups: Mapping[str, str], folder: FolderSpec, kept: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the split of every name, as the module says.

    Parameters
    ----------
    groups
        The group of each name; a name of its own for an image that belongs to no other.
    folder
        With shares, seed and folds.
    kept
        Splits of names that were drawn earlier: they stay, and so does what is of their groups.

    Raises
    ------
    DataError
        When there are fewer groups than folds.

    Examples
    --------
    >>> names = {name: name for name in "abcdefghij"}
    >>> sorted(draw_splits(names, FolderSpec(images="images", masks="masks")).values())
    ['train', 'train', 'train', 'train', 'train', 'train', 'train', 'train', 'val', 'val']
    """
    stay = {groups[name]: split for name, split in (kept or {}).items() if name in groups}
    members: dict[str, int] = {}
    for group in groups.values():
        members[group] = members.get(group, 0) + 1
    ranked = sorted(_Group(_number(group, folder.seed), group, count) for group, count in members.items())
    free = [group for group in ranked if group.name not in stay]
    total = len(groups)
    held = {split: sum(group.images for group in ranked if stay.get(group.name) == split) for split in SPLITS}
    found = dict(stay)
    needed = (TRAIN not in stay.values()) + (bool(folder.val_share or folder.folds) and VAL not in stay.values())
    test = _taken(free, folder.test_share, 0.0, total, held[TEST], len(free) - needed) if folder.test_share else set()
    found |= dict.fromkeys(test, TEST)
    free = [group for group in free if group.name not in test]
    if folder.folds:
        found |= _fold(free, folder)
    elif folder.val_share:
        spare = len(free) - (TRAIN not in stay.values())
        val = _taken(free, folder.val_share, folder.test_share, total, held[VAL], spare)
        found |= dict.fromkeys(val, VAL)
    return {name: (kept or {}).get(name) or found.get(group, TRAIN) for name, group in groups.items()}


class _Group(NamedTuple):
    """A group by the rank of its hash, 0 to 1, and how many images it has."""

    at: float
    name: str
    images: int


def _number(group: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}/{group}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _slack(total: int, share: float) -> float:
    return max(0.5, NEAR * total * min(share, 1 - share))


def _taken(ranked: Sequence[_Group], share: float, start: float, total: int, held: int, spare: int) -> set[str]:
    """Return the groups that fall to a split: those below ``start + share``, brought near to ``share`` of ``total`` images.

    ``held`` images are in the split already; at least one group is taken where there is none, and at most ``spare``.
    """
    target, slack = share * total, _slack(total, share)
    taken: set[str] = set()
    count = held
    for group in ranked:
        if len(taken) >= spare or (group.at >= start + share and count >= target - slack):
            break
        if count + group.images <= target + slack:
            taken.add(group.name)
            count += group.images
    if not count and spare > 0:
        taken.add(min(ranked, key=lambda group: (group.images, group)).name)
    return taken


def _fold(ranked: Sequence[_Group], folder: FolderSpec) -> dict[str, str]:
    """Return the groups of the fold that is val: cut at equal parts of the hash's range, brought near to equal counts."""
    folds = int(folder.folds or 1)
    if len(ranked) < folds:
        raise DataError(
            f"{len(ranked)} image{'s' if len(ranked) != 1 else ''} or groups cannot fall into data.folder.folds {folds}; "
            f"there are at most as many folds as images or groups"
        )
    sums = [0, *accumulate(group.images for group in ranked)]
    slack = _slack(sums[-1], 1 / folds) / 2
    lowest = ranked[0].at if folder.test_share else 0.0  # what went to test has left the beginning of the range
    cuts = [0]
    for number in range(1, folds):
        cut = lowest + (1 - lowest) * number / folds
        natural = sum(1 for group in ranked if group.at < cut)
        places = range(cuts[-1] + 1, len(ranked) - (folds - number) + 1)
        cuts.append(_nearest(places, natural, sums, sums[-1] * number / folds, max(slack, 0.5)))
    cuts.append(len(ranked))
    return {group.name: VAL for group in ranked[cuts[folder.fold] : cuts[folder.fold + 1]]}


def _nearest(places: Iterable[int], natural: int, sums: Sequence[int], target: float, slack: float) -> int:
    """Return the place nearest to ``natural`` whose sum is within ``slack`` of ``target``, else that with the nearest sum."""
    return min(places, key=lambda k: (max(abs(sums[k] - target) - slack, 0), abs(k - natural), k))
