"""Every pair read once into a small record of facts, in as many processes as there are cores.

Images are read to their end but seen only as a grey thumbnail, masks as counts; what the facts mean is decided in
:mod:`fullconv.doctor.file_checks` and its neighbours.
"""

import functools
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.images import Glance, glance
from fullconv.data.mask_runs import Runs, inner_pixels
from fullconv.data.orientation import SIDEWAYS, TURNS
from fullconv.data.pairs import Pair
from fullconv.data.palettes import Palette
from fullconv.data.rotation import Lies, look
from fullconv.data.sample import Dataset
from fullconv.data.stored_mask import OPAQUE, Stored, stored_at
from fullconv.doctor.depth_checks import DepthFacts, depth_facts
from fullconv.doctor.sources import Source
from fullconv.errors import DataError
from fullconv.labelmap import LabelMap, codes_of
from fullconv.spec import ImageSpec

Progress = Callable[[int, int], None]
MOST_CODES = 1024
"""Codes of a mask that are kept one by one, the most frequent; masks of labels have fewer."""
ALONE = 200
"""Pairs that one process reads sooner than others are started."""
CHUNK = 16
SIDE = 16


@dataclass(frozen=True)
class MaskFacts:
    """What a mask held.

    Attributes
    ----------
    size
        (height, width) in pixels.
    kind, mode
        The file's format and PIL's mode, such as ``PNG`` and ``P``; empty for rendered masks.
    pixels
        Pixels of each code (see :mod:`fullconv.labelmap`), of the :data:`MOST_CODES` most frequent.
    codes
        How many different codes there are.
    solid
        Of those the pixels whose four neighbours have the same code.
    palette
        Of a palette image: the colour of every index that occurs.
    hidden
        Where a mask has an alpha channel: the pixels of each code that it hides.
    frayed
        Pixels of codes without a meaning that border on pixels of another code.
    blends, edges
        See :class:`~fullconv.data.mask_runs.Runs`; codes of one label count as one.
    """

    size: tuple[int, int]
    kind: str
    mode: str
    pixels: dict[int, int]
    codes: int
    solid: dict[int, int]
    palette: Palette | None
    hidden: dict[int, int]
    frayed: int
    blends: int
    edges: int

    @property
    def total(self) -> int:
        """All pixels."""
        return self.size[0] * self.size[1]

    def unknown(self, label_map: LabelMap) -> dict[int, int]:
        """Return the pixels of every code without a meaning."""
        return {code: count for code, count in self.pixels.items() if code not in label_map.meaning}


@dataclass(frozen=True)
class Facts:
    """What one pair showed; a text in place of facts says why there are none.

    Attributes
    ----------
    name, split
        Of the sample.
    pair
        Its files, unless it is rendered.
    image, mask
        What they showed, or why they cannot be read.
    depth
        What the depth map showed, or why it cannot be read; ``None`` when depth is not read.
    lies
        Where EXIF turns the image: on which pixels of it the mask lies, see :mod:`fullconv.data.rotation`.
    """

    name: str
    split: str
    pair: Pair | None
    image: Glance | str
    mask: MaskFacts | str
    depth: DepthFacts | str | None = None
    lies: Lies | None = None

    @property
    def readable(self) -> bool:
        """Whether image and mask could be read."""
        return isinstance(self.image, Glance) and isinstance(self.mask, MaskFacts)

    @property
    def where(self) -> str:
        """The mask's file, or the sample's name."""
        return str(self.pair.mask) if self.pair else self.name


def upright_size(image: Glance) -> tuple[int, int]:
    """Return (height, width) after the rotation that EXIF notes."""
    return (image.size[1], image.size[0]) if image.orientation in SIDEWAYS else image.size


@dataclass(frozen=True)
class Reading:
    """How the pairs of a split are read, handed to the processes that read them."""

    split: str
    label_map: LabelMap
    image: ImageSpec
    mask_pages: str | None
    depth_unit: str | float | None


def scan(sources: Sequence[Source], progress: Progress = lambda done, of: None) -> list[Facts]:
    """Return the facts of every sample of the sources, in order.

    Raises
    ------
    DataError
        When a process that reads is killed.
    """
    jobs = [job for source in sources for job in _jobs(source)]
    total = sum(len(source.dataset) for source in sources)
    rest = (pair for source in sources for pair in source.pairs or [None] * len(source.dataset))
    found: list[Facts] = []
    for facts in _results(jobs, min(_cores(), len(jobs)) if total > ALONE else 1):
        found += [replace(fact, pair=pair) for fact, pair in zip(facts, rest, strict=False)]  # processes send copies of pairs
        progress(len(found), total)
    return found


def _jobs(source: Source) -> Iterator[Callable[[], list[Facts]]]:
    for start in range(0, len(source.dataset), CHUNK):
        if source.pairs:
            how = Reading(source.split, source.label_map, source.image, source.mask_pages, source.depth_unit)
            yield functools.partial(_read_pairs, how, source.pairs[start : start + CHUNK])
        else:
            places = range(start, min(start + CHUNK, len(source.dataset)))
            yield functools.partial(_read_samples, source.dataset, places, source.split, source.head, source.label_map)


def _results(jobs: Sequence[Callable[[], list[Facts]]], processes: int) -> Iterator[list[Facts]]:
    if processes <= 1:
        yield from (job() for job in jobs)
        return
    with ProcessPoolExecutor(processes, initializer=_leave_interrupts_to_the_parent) as pool:
        try:
            yield from pool.map(_call, jobs)
        except BrokenExecutor as error:
            raise DataError("a process that reads images was killed; is there enough memory?") from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _call(job: Callable[[], list[Facts]]) -> list[Facts]:
    return job()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a command takes it for an interrupt, and a worker would say so at length


def _read_pairs(how: Reading, pairs: Iterable[Pair]) -> list[Facts]:
    return [_pair_facts(how, pair) for pair in pairs]


def _pair_facts(how: Reading, pair: Pair) -> Facts:
    image, mask = _image_facts(pair, how.image), _mask_facts(pair, how.label_map, how.mask_pages)
    depth = None if how.depth_unit is None else depth_facts(pair.depth, how.depth_unit)
    return Facts(pair.name, how.split, pair, image, mask, depth, _lies(how, pair, image, mask))


def _lies(how: Reading, pair: Pair, image: Glance | str, mask: MaskFacts | str) -> Lies | None:
    """Return on which pixels of an image that EXIF turns the mask lies."""
    if not isinstance(image, Glance) or not isinstance(mask, MaskFacts) or image.orientation not in TURNS:
        return None
    return look(pair.image, codes_of(stored_at(pair.mask, how.mask_pages).declared(how.label_map, pair.mask)), how.image)


def _image_facts(pair: Pair, how: ImageSpec) -> Glance | str:
    try:
        return glance(pair.image, SIDE, how)
    except DataError as error:
        return str(error)


def _mask_facts(pair: Pair, label_map: LabelMap, pages: str | None) -> MaskFacts | str:
    try:
        stored = stored_at(pair.mask, pages)
    except DataError as error:
        return str(error)
    try:
        plain = stored.declared(label_map, pair.mask)
    except DataError:
        plain = stored.plain  # colours where numbers are declared, or numbers where colours are
    codes = plain if plain.ndim == 2 else codes_of(plain)  # values are codes; a byte each is read faster than eight
    return mask_facts(codes, label_map, stored)


def mask_facts(codes: NDArray[np.integer], label_map: LabelMap, stored: Stored | None = None) -> MaskFacts:
    """Return the facts of a mask's codes, integer (H, W), and of the file that they are from, if they are from one."""
    runs = Runs.of(codes)
    most = np.argsort(-runs.pixels, kind="stable")[:MOST_CODES]
    pixels = dict(zip(runs.codes[most].tolist(), runs.pixels[most].tolist(), strict=True))
    solid = inner_pixels(codes)
    unknown = [
        (int(code), int(count)) for code, count in zip(runs.codes, runs.pixels, strict=True) if code not in label_map.meaning
    ]
    by_label = _one_code_a_label(runs, codes, label_map)
    return MaskFacts(
        size=(codes.shape[0], codes.shape[1]),
        kind=stored.kind if stored else "",
        mode=stored.mode if stored else "",
        pixels=pixels,
        codes=len(runs.codes),
        solid={code: count for code, count in solid.items() if code in pixels},
        palette=_palette(stored),
        hidden=_hidden(stored, codes),
        frayed=sum(count - solid.get(code, 0) for code, count in unknown),
        blends=by_label.blends(),
        edges=by_label.edges,
    )


def _one_code_a_label(runs: Runs, codes: NDArray[np.integer], label_map: LabelMap) -> Runs:
    """Return the runs of a mask in which the codes of one label are one: there is no edge between them."""
    first: dict[int, int] = {}
    found = runs.codes.tolist()
    for code in found:
        if code in label_map.meaning:
            first.setdefault(label_map.meaning[code], code)
    merged = [first[label_map.meaning[code]] if code in label_map.meaning else code for code in found]
    if merged == found:
        return runs
    return Runs.of(np.array(merged)[np.searchsorted(runs.codes, codes)])


def _palette(stored: Stored | None) -> Palette | None:
    if stored is None or stored.palette is None:
        return None
    table = stored.palette.tolist()
    used = {index: tuple(table[index]) for index in np.unique(stored.plain).tolist() if index < len(table)}
    return Palette(used, len(table))


def _hidden(stored: Stored | None, codes: NDArray[np.integer]) -> dict[int, int]:
    if stored is None or stored.alpha is None:
        return {}
    found, counts = np.unique(codes[stored.alpha < OPAQUE], return_counts=True)
    most = np.argsort(-counts, kind="stable")[:MOST_CODES]
    return dict(zip(found[most].tolist(), counts[most].tolist(), strict=True))


def _read_samples(dataset: Dataset, places: range, split: str, head: str, label_map: LabelMap) -> list[Facts]:
    return [_sample_facts(dataset, place, split, head, label_map) for place in places]


def _sample_facts(dataset: Dataset, place: int, split: str, head: str, label_map: LabelMap) -> Facts:
    try:
        sample = dataset[place]
    except DataError as error:
        return Facts(f"{split} {place}", split, None, str(error), str(error))
    stream = next(iter(sample.inputs.values())).numpy()
    grey = Image.fromarray(stream.mean(0).round().astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BOX)
    mask = mask_facts(sample.targets[head].numpy(), label_map)
    return Facts(sample.name, split, None, Glance(sample.size, 1, np.array(grey)), mask)
