"""All checks in order: ``examine(spec)`` reads every pair once and returns what it found."""

from collections.abc import Callable, Iterator

from fullconv.doctor import dataset_checks, file_checks, image_checks, meaning_checks, split_checks
from fullconv.doctor.annotation_checks import annotations
from fullconv.doctor.class_checks import class_masks
from fullconv.doctor.context import Context
from fullconv.doctor.facts import Progress, scan
from fullconv.doctor.finding import LEVELS, Diagnosis, Finding
from fullconv.doctor.mask_checks import values
from fullconv.doctor.sources import open_sources
from fullconv.spec import DataSpec

CHECKS: tuple[Callable[[Context], Iterator[Finding]], ...] = (
    file_checks.partners,
    annotations,
    class_masks,
    file_checks.damage,
    file_checks.sizes_differ,
    file_checks.rotations,
    image_checks.kinds,
    image_checks.suffixes,
    image_checks.passed_over,
    file_checks.depths,
    file_checks.cameras,
    values,
    split_checks.few_to_measure_on,
    split_checks.groups_on_both_sides,
    meaning_checks.palettes,
    meaning_checks.alpha,
    meaning_checks.ignored_objects,
    meaning_checks.names,
    dataset_checks.leaks,
    dataset_checks.empty_masks,
    dataset_checks.classes,
    dataset_checks.sizes,
    dataset_checks.bound,
)
"""Every one yields what it finds, or nothing."""


def open_context(spec: DataSpec, progress: Progress = lambda done, of: None, most: int | None = None) -> Context:
    """Return a data set with the facts of all its pairs; see :func:`examine`."""
    sources = open_sources(spec, most)
    name = spec.root.resolve().name if spec.name == "folder" and spec.root else spec.name
    return Context(name, spec, sources, scan(sources, progress))


def diagnose(context: Context) -> Diagnosis:
    """Return what the facts of a data set say."""
    found = [finding for check in CHECKS for finding in check(context)]
    ranked = sorted(found, key=lambda finding: list(LEVELS).index(finding.level))
    pairs = {source.split: len(source.dataset) for source in context.sources}
    return Diagnosis(context.name, pairs, tuple(ranked), context.surveys())


def examine(spec: DataSpec, progress: Progress = lambda done, of: None, most: int | None = None) -> Diagnosis:
    """Return all that is to be said about a data set before training on it.

    Parameters
    ----------
    spec
        The data set, as a recipe has it; its splits ``train`` and ``val`` are read whole, whatever ``count`` says of stored ones.
    progress
        Called with the pairs read so far and all there are.
    most
        Of a folder of one's own, how many pairs of each split are read, spread over it; all by default.

    Raises
    ------
    DataError
        When there is nothing to examine: no folder, no split, no pairs.
    SpecError
        When there is no such data set.

    Examples
    --------
    >>> found = examine(DataSpec(name="scenes", count=4, val_count=2, size=(48, 64)))
    >>> found.pairs, found.of("error"), found.of("warning")
    ({'train': 4, 'val': 2}, [], [])
    """
    return diagnose(open_context(spec, progress, most))
