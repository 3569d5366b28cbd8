"""What a sound data set is like: classes and their shares, masks without anything to learn, images in both splits, sizes."""

import filecmp
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from fullconv.data.folder.init_recipe import BATCH, crop_for
from fullconv.data.images import Glance
from fullconv.doctor.context import Context
from fullconv.doctor.facts import SIDE, Facts, upright_size
from fullconv.doctor.finding import Finding, Level, counted, listed
from fullconv.doctor.near_duplicates import twins
from fullconv.errors import DataError
from fullconv.geometry.bound import coarsen
from fullconv.labels import is_background
from fullconv.metrics import ConfusionMatrix, metrics_of

LEAK = 0.05
"""The share of validation images from which on a score misleads, if they are in training as the very same file."""
MUCH_IGNORED = 0.5
OFTEN = 0.05
"""Classes that training lacks are worth a warning when each is in this share of val's masks, and they are this share of all."""
STRIDES = (32, 16, 8)
BOUND_MASKS = 40
"""Masks that the bound is computed on, spread over the split: they are read once more, and it costs far more than reading."""


def leaks(context: Context) -> Iterator[Finding]:
    """Find validation images that training sees."""
    if len(context.sources) == 1:
        what = f"train and val are the same split, {context.sources[0].split}"
        fix = "scores on it say nothing about new images; set data.val, or let data.folder.val_share draw one"
        yield Finding("warning", "no validation split", 1, what, fix)
        return
    trained, measured = ([fact for fact in context.facts if fact.split == source.split] for source in context.sources)
    if not trained or not measured:  # told already: nothing of a split is there
        return
    found = [(trained[a], measured[b]) for a, b in twins(*(_thumbnails(facts) for facts in (trained, measured)))]
    if found:
        same = sum(1 for a, b in found if a.pair and b.pair and filecmp.cmp(a.pair.image, b.pair.image, shallow=False))
        level: Level = "error" if same and same >= LEAK * len(measured) else "warning"
        train, val = (source.split for source in context.sources)
        shown = listed([b.name if a.name == b.name else f"{b.name} (in {train}: {a.name})" for a, b in found])
        share = f"{100 * len(found) / len(measured):.1f} %"
        how = f"{same} as the same file, {len(found) - same} nearly"
        what = f"{counted(len(found), 'image')} of {val} ({share}) in {train} too, {how}: {shown}"
        fix = "move both to one split, or scores are too good; frames of one film belong to one split as well"
        yield Finding(level, "images in train and val", len(found), what, fix, tuple(b.name for _, b in found))


def _thumbnails(facts: Sequence[Facts]) -> NDArray[np.uint8]:
    """Return the thumbnails (N, 16, 16), blank where an image cannot be read."""
    blank = np.zeros((SIDE, SIDE), np.uint8)
    return np.stack([fact.image.thumbnail if isinstance(fact.image, Glance) else blank for fact in facts])


def empty_masks(context: Context) -> Iterator[Finding]:
    """Find masks without ground truth, and masks of background alone."""
    meaning, labels = context.label_map.meaning, context.label_map.labels
    held = {(fact.split, fact.name): {meaning.get(code) for code in mask.pixels} for fact, mask in context.masks()}
    blank = [name for (_, name), found in held.items() if found == {labels.ignore_index}]
    if blank:
        what = f"{counted(len(blank), 'mask')} with nothing but ignored pixels: {listed(blank)}"
        fix = "nothing can be learned from them; label them or leave them out"
        yield Finding("warning", "masks without ground truth", len(blank), what, fix, tuple(blank))
    background = next((k for k, name in enumerate(labels.names) if is_background(name)), None)
    plain = [
        name
        for (_, name), found in held.items()
        if background is not None and background in found <= {background, labels.ignore_index}
    ]
    if plain:
        what = f"{counted(len(plain), 'mask')} with nothing but {labels.names[background or 0]}: {listed(plain)}"
        yield Finding("note", "masks of background", len(plain), what, "", tuple(plain))


def classes(context: Context) -> Iterator[Finding]:
    """Tell which classes are missing from a split, how unequal the others are, and how much is ignored."""
    surveys = context.surveys()
    trained, measured = surveys[0], surveys[-1]
    names, learned = (
        context.label_map.labels.names,
        [name for name in context.label_map.labels.names if name not in trained.missing],
    )
    if trained.total and len(learned) < 2:
        what = f"only {learned[0]} has pixels in {trained.split}" if learned else f"no class has any pixel in {trained.split}"
        what += ", and it is the only class" if len(names) == 1 and learned else ""
        fix = "compare data.labels with what the masks store; a net needs two classes, such as background and foreground"
        yield Finding("error", "nothing to tell apart", len(names) - len(learned), what, fix, tuple(trained.missing))
        return
    unlearned = [name for name in trained.missing if name not in measured.missing]
    absent = [name for name in trained.missing if name in measured.missing]
    unmeasured = [name for name in measured.missing if name in learned]
    if unlearned:
        often = [name for name in unlearned if measured.classes()[name]["masks"] >= OFTEN * len(measured.masks)]
        level: Level = "warning" if often and len(often) >= OFTEN * (len(names) - len(measured.missing)) else "note"
        what = f"no pixel of {listed(unlearned)} in {trained.split} to learn from, but some in {measured.split}"
        fix = "their IU will be 0, and a mean over classes counts it; draw the splits anew or add images"
        yield Finding(level, "classes not in train", len(unlearned), what, fix, tuple(unlearned))
    if absent:
        what = f"no pixel of {listed(absent)} to learn from, nor to measure on"
        yield Finding("note", "classes in no split", len(absent), what, "a mean over classes leaves them out", tuple(absent))
    if unmeasured:
        what = f"no pixel of {listed(unmeasured)} in {measured.split}: they are learned but not measured"
        yield Finding("note", "classes not in val", len(unmeasured), what, "", tuple(unmeasured))
    yield from _balance(context, learned)


def _balance(context: Context, learned: list[str]) -> Iterator[Finding]:
    trained = context.surveys()[0]
    shares = {name: trained.by_label[context.label_map.labels.names.index(name)][0] for name in learned}
    total = sum(shares.values())
    if len(shares) > 1:
        rare, common = min(shares, key=lambda name: shares[name]), max(shares, key=lambda name: shares[name])
        percents = [f"{100 * shares[name] / total:.2g} %" for name in (common, rare)]
        what = f"{common} has {percents[0]} of the truth, {rare} {percents[1]}"
        fix = (
            "if rare classes matter more than pixels: train.class_weights: balanced"
            if shares[common] > 100 * shares[rare]
            else ""
        )
        yield Finding("note", "class balance", len(shares), what, fix)
    if trained.ignored:
        much = trained.ignored > MUCH_IGNORED
        what = f"{100 * trained.ignored:.1f} % of the pixels in {trained.split} are ignored"
        fix = "see whether a class is taken for ignore in data.labels" if much else ""
        yield Finding("warning" if much else "note", "ignored pixels", 1, what, fix)


def sizes(context: Context) -> Iterator[Finding]:
    """Tell how large images are, and which crop and batch suit them."""
    scale = context.spec.scale
    found = [upright_size(fact.image) for fact in context.facts if isinstance(fact.image, Glance)]
    if not found:
        return
    most, count = Counter(found).most_common(1)[0]
    height, width = (round(scale * median(side)) for side in zip(*found, strict=True))
    if count == len(found):
        what = f"all images are {most[0]}×{most[1]} (H×W)"
    else:
        low, high = (tuple(pick(side) for side in zip(*found, strict=True)) for pick in (min, max))
        spans = (
            f"{least} px" if least == largest else f"{least} to {largest} px" for least, largest in zip(low, high, strict=True)
        )
        usual = f", {100 * count / len(found):.0f} % of them {most[0]}×{most[1]} (H×W)" if count > 1 else ""
        what = f"images are {' high and '.join(spans)} wide{usual}"
    crop = crop_for((height, width))
    at = f" at data.scale {scale:g}" if scale != 1 else ""
    fix = f"data.augment.crop: [{crop}, {crop}] with train.batch_size: {BATCH} suits them{at}"
    yield Finding("note", "sizes", len(set(found)), what, fix)


def bound(context: Context) -> Iterator[Finding]:
    """Tell which IU an output of each stride could reach: that of the coarse ground truth (:mod:`fullconv.geometry.bound`)."""
    source = context.sources[0]
    labels = context.label_map.labels
    matrices = {stride: ConfusionMatrix(len(labels)) for stride in STRIDES}
    count = 0
    for place in np.unique(np.linspace(0, len(source.dataset) - 1, min(BOUND_MASKS, len(source.dataset))).round()):
        try:
            truth = source.dataset[int(place)].targets[source.head].numpy()
        except DataError:
            continue  # told already
        count += 1
        for stride, matrix in matrices.items():
            matrix.update(truth, coarsen(truth, stride, "linear", labels.ignore_index), labels.ignore_index)
    reached = {stride: metrics_of(matrix).mean_iu for stride, matrix in matrices.items()}
    if count and not np.isnan(reached[STRIDES[0]]):
        shown = ", ".join(f"{100 * iu:.1f} % at stride {stride}" for stride, iu in reached.items())
        what = f"the ground truth itself, made coarse, has a mean IU of {shown} ({counted(count, 'mask')} of {source.split})"
        yield Finding(
            "note", "what coarse outputs can reach", count, what, "more is out of reach at that stride, however well it learns"
        )
