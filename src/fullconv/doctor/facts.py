"""Every pair read once into a small record of facts, in as many processes as there are cores.

Images are read to their end but seen only as a grey thumbnail, masks as counts; what the facts mean is decided in
:mod:`fullconv.doctor.file_checks` and its neighbours.
"""

import functools
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.images import Glance, decode, glance
from fullconv.data.mask_pages import read_class_pages, read_stored_pages
from fullconv.data.mask_runs import Runs, inner
from fullconv.data.masks import stored_in
from fullconv.data.orientation import SIDEWAYS, TURNS
from fullconv.data.pairs import Pair
from fullconv.data.rotation import Lies, look
from fullconv.data.sample import Dataset
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
    palette
        Of a palette image: the colour of every index that occurs.
    frayed
        Pixels of codes without a meaning that border on pixels of another code.
    blends, edges
        See :class:`~fullconv.data.mask_runs.Runs`.
    """

    size: tuple[int, int]
    kind: str
    mode: str
    pixels: dict[int, int]
    codes: int
    palette: dict[int, tuple[int, int, int]]
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
    found: list[Facts] = []
    for facts in _results(jobs, min(_cores(), len(jobs)) if total > ALONE else 1):
        found += facts
        progress(len(found), total)
    return found


def _jobs(source: Source) -> Iterator[Callable[[], list[Facts]]]:
    for start in range(0, len(source.dataset), CHUNK):
        if source.pairs:
            how = Reading(source.split, source.label_map, source.image, source.mask_pages, source.depth_unit)
            pairs = source.pairs[start : start + CHUNK]
            yield functools.partial(_read_pairs, how, pairs)
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
    return look(pair.image, codes_of(read_stored_pages(pair.mask, how.label_map, how.mask_pages)), how.image)


def _image_facts(pair: Pair, how: ImageSpec) -> Glance | str:
    try:
        return glance(pair.image, SIDE, how)
    except DataError as error:
        return str(error)


def _mask_facts(pair: Pair, label_map: LabelMap, pages: str | None) -> MaskFacts | str:
    try:
        if pages is not None:
            return mask_facts(read_class_pages(pair.mask, pages), label_map, "TIFF")
        image = decode(pair.mask)
    except DataError as error:
        return str(error)
    kind, mode = image.format or "", image.mode
    try:
        stored = stored_in(image, label_map, pair.mask)
    except DataError as error:
        if mode == "F":
            return str(error)
        stored = np.asarray(image.convert("RGB"))  # colours where numbers are declared
    palette = _palette(image) if mode == "P" else {}
    codes = stored if stored.ndim == 2 else codes_of(stored)  # values are codes; a byte each is read faster than eight
    return mask_facts(codes, label_map, kind, mode, palette)


def _palette(image: Image.Image) -> dict[int, tuple[int, int, int]]:
    table = image.getpalette() or []
    indices = [index for index, count in enumerate(image.histogram()) if count]
    return {i: (table[3 * i], table[3 * i + 1], table[3 * i + 2]) for i in indices if 3 * i + 2 < len(table)}


def mask_facts(
    codes: NDArray[np.integer],
    label_map: LabelMap,
    kind: str = "",
    mode: str = "",
    palette: dict[int, tuple[int, int, int]] | None = None,
) -> MaskFacts:
    """Return the facts of a mask's codes, integer (H, W)."""
    runs = Runs.of(codes)
    most = np.argsort(-runs.pixels, kind="stable")[:MOST_CODES]
    pixels = dict(zip(runs.codes[most].tolist(), runs.pixels[most].tolist(), strict=True))
    strange = ~np.isin(runs.codes, np.fromiter(label_map.meaning, np.int64))
    solid = int(np.isin(inner(codes), runs.codes[strange]).sum()) if strange.any() else 0
    return MaskFacts(
        (codes.shape[0], codes.shape[1]),
        kind,
        mode,
        pixels,
        len(runs.codes),
        palette or {},
        int(runs.pixels[strange].sum()) - solid,
        runs.blends(),
        runs.edges,
    )


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
