"""Faults of splits: too few images to measure on, and groups on both sides."""

from collections.abc import Iterator
from pathlib import Path

from fullconv.data.folder.pairing import groups_of, has_drawn_splits
from fullconv.doctor.context import Context
from fullconv.doctor.finding import Finding, Level, counted, listed
from fullconv.errors import DataError

FEW = 10
"""Images below which scores are a matter of luck: of all of them a warning, of those to validate on a note."""


def few_to_measure_on(context: Context) -> Iterator[Finding]:
    """Tell when the draw leaves only a few images to validate on."""
    spec = context.spec
    if spec.name != "folder" or len(context.sources) < 2 or not has_drawn_splits(Path(spec.root or ""), spec.folder):
        return
    measured = context.sources[1]
    count, total = len(measured.dataset), sum(len(source.dataset) for source in context.sources)
    if count < FEW and not spec.folder.folds:
        level: Level = "warning" if total < FEW else "note"
        what = f"of {total} images {count} {'are' if count > 1 else 'is'} drawn to validate on: scores on so few are rough"
        fix = "label more, or measure on every image in its turn: `fullconv crossval RECIPE`"
        yield Finding(level, "few images to measure on", count, what, fix)


def groups_on_both_sides(context: Context) -> Iterator[Finding]:
    """Find groups, by ``data.folder.group`` or a list's column, whose images are in train and in val; drawn splits cut none."""
    if context.spec.name != "folder" or len(context.sources) < 2:
        return
    pattern = context.spec.folder.group
    grouped = [[pair for pair in source.pairs if pattern is not None or pair.group] for source in context.sources]
    try:
        sides = [groups_of(pairs, context.spec.folder) for pairs in grouped]
    except DataError as error:
        yield Finding("error", "images without a group", 1, str(error), "mend data.folder.group, or leave it out")
        return
    shared = set(sides[0].values()) & set(sides[1].values())
    both = sorted(shared)
    if both:
        train, val = (source.split for source in context.sources)
        names = tuple(name for name, group in sides[1].items() if group in shared)
        what = f"{counted(len(both), 'group')} in {train} and in {val}: {listed(both)}; {counted(len(names), 'image')} of {val}"
        fix = "move each group to one side, or scores are too good; or leave data.folder.group out"
        yield Finding("error", "groups on both sides", len(both), what, fix, names)
