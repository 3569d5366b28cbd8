"""Contact sheets: images with their masks laid over them, ignored and unknown pixels to be seen."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fullconv.data.images import picture_of
from fullconv.data.pairs import Pair
from fullconv.data.rotation import image_for_mask
from fullconv.data.stored_mask import stored_at
from fullconv.doctor.context import Context
from fullconv.doctor.sources import Source
from fullconv.drawing import INK, PAPER, Entry, font_for, with_legend
from fullconv.errors import DataError
from fullconv.files import replacing
from fullconv.labelmap import LabelMap, codes_of
from fullconv.labels import LabelSet
from fullconv.spec import ImageSpec
from fullconv.spec.image import PLAIN

UNKNOWN = -1
"""The label of pixels without a meaning; no class has it."""
STRANGE = (255, 0, 220)
IGNORED = (128, 128, 128)
WIDTH, COLUMNS, MARGIN, HATCH = 200, 3, 8, 4
TILES = 12
"""Of a sheet; a third of them with a fault, where there are any."""

Tile = tuple[str, NDArray[np.uint8], NDArray[np.integer]]
"""Name, image uint8 (H, W, 3) RGB, labels (H, W)."""


def contact_sheet(
    images: Sequence[Tile], labels: LabelSet, more: Sequence[Sequence[NDArray[np.uint8]]] | None = None
) -> Image.Image:
    """Return an RGB image: of each tile its image, ``more`` of the same view, and the labels over the image; a legend below.

    Classes are in their colours, ignored pixels hatched in grey, those of :data:`UNKNOWN` in magenta. ``more`` has as many images
    for each tile.

    Raises
    ------
    DataError
        When there is no tile, or labels are not of their image's size.
    """
    if not images:
        raise DataError("there is nothing to draw; no image of the split could be read with its mask")
    drawn = [_tile(*tile, labels, others) for tile, others in zip(images, more or [()] * len(images), strict=True)]
    columns = min(COLUMNS, len(drawn))
    rows = [drawn[start : start + columns] for start in range(0, len(drawn), columns)]
    step = drawn[0].width + 2 * MARGIN
    heights = [max(tile.height for tile in row) + MARGIN for row in rows]
    sheet = Image.new("RGB", (columns * step, sum(heights) + MARGIN), PAPER)
    for number, row in enumerate(rows):
        for column, tile in enumerate(row):
            sheet.paste(tile, (column * step + MARGIN, MARGIN + sum(heights[:number])))
    return with_legend(sheet, _entries([truth for _, _, truth in images], labels))


def _tile(
    name: str,
    image: NDArray[np.uint8],
    truth: NDArray[np.integer],
    labels: LabelSet,
    others: Sequence[NDArray[np.uint8]],
) -> Image.Image:
    if image.shape[:2] != truth.shape:
        raise DataError(f"{name}: labels {truth.shape} cannot be laid over an image {image.shape[:2]} (H, W)")
    height = max(1, round(image.shape[0] * WIDTH / image.shape[1]))
    small = [Image.fromarray(each).resize((WIDTH, height), Image.Resampling.LANCZOS) for each in (image, *others)]
    # PIL resizes 32-bit integers, which have a sign
    coarse = np.array(Image.fromarray(truth.astype(np.int32)).resize((WIDTH, height), Image.Resampling.NEAREST))
    font = font_for(WIDTH)
    line = math.ceil(font.getbbox("Ág")[3])
    row = [*small, Image.fromarray(_laid_over(np.array(small[0]), coarse, labels))]
    tile = Image.new("RGB", (len(row) * WIDTH, height + line + 2), PAPER)
    for column, part in enumerate(row):
        tile.paste(part, (column * WIDTH, line + 2))
    ImageDraw.Draw(tile).text((0, 0), name, fill=INK, font=font)
    return tile


def _laid_over(image: NDArray[np.uint8], truth: NDArray[np.integer], labels: LabelSet) -> NDArray[np.uint8]:
    known = np.where((truth >= 0) & (truth < len(labels)), truth, labels.ignore_index)
    mixed = (0.4 * image + 0.6 * labels.colorize(known)).round().astype(np.uint8)
    rows, columns = np.indices(truth.shape)
    hatch = (rows + columns) // HATCH % 2 == 0
    ignored = truth == labels.ignore_index
    mixed[ignored] = 0.4 * image[ignored] + 0.6 * 255  # lighter than the stripes, whatever the image is
    mixed[ignored & hatch] = IGNORED
    mixed[truth == UNKNOWN] = STRANGE
    return mixed


def _entries(maps: Sequence[NDArray[np.integer]], labels: LabelSet) -> list[Entry]:
    present = {int(label) for truth in maps for label in np.unique(truth)}
    entries = [(labels.colors[label], labels.names[label]) for label in range(len(labels)) if label in present]
    entries += [(IGNORED, "hatched: ignored")] if labels.ignore_index in present else []
    return entries + ([(STRANGE, "not in data.labels")] if UNKNOWN in present else [])


def write_sheets(context: Context, suspects: Sequence[str], folder: Path) -> list[Path]:
    """Write a contact sheet of each split, ``SPLIT.png``; return their paths.

    Parameters
    ----------
    context
        The data set.
    suspects
        Names of pairs with a fault: as many as fit in a third of the sheet come first, marked by an exclamation mark.
    folder
        Where to; it is made.
    """
    paths = []
    for source in context.sources:
        chosen = tiles(source, suspects)
        if chosen:
            paths.append(folder / f"{source.split}.png")
            with replacing(paths[-1]) as temporary:
                contact_sheet(chosen, context.label_map.labels).save(temporary, format="PNG")
    return paths


def tiles(source: Source, suspects: Sequence[str]) -> list[Tile]:
    """Return the tiles of a split's sheet: pairs with a fault, then others from all over the split."""
    doubted = set(suspects)
    chosen = [place for place, pair in enumerate(source.pairs) if pair.name in doubted]
    spread = np.linspace(0, len(source.dataset) - 1, TILES).round().astype(int).tolist()
    faulty = islice(_drawable(source, chosen, "! "), TILES // 3)
    sound = _drawable(source, [place for place in dict.fromkeys(spread) if place not in chosen])
    return [*faulty, *sound][:TILES]


def _drawable(source: Source, places: Sequence[int], mark: str = "") -> Iterator[Tile]:
    for place in places:
        try:
            name, image, truth = _pair_tile(source, place) if source.pairs else _sample_tile(source, place)
        except DataError:
            continue  # told already
        yield mark + name, image, truth


def read_tile(pair: Pair, label_map: LabelMap, how: ImageSpec = PLAIN, mask_pages: str | None = None) -> Tile:
    """Return an image with the labels of its mask, :data:`UNKNOWN` where they have no meaning.

    Raises
    ------
    DataError
        When a file is damaged, or sizes differ.
    """
    codes = codes_of(stored_at(pair.mask, mask_pages).declared(label_map, pair.mask))
    found, which = np.unique(codes, return_inverse=True)
    truth = np.array([label_map.meaning.get(int(code), UNKNOWN) for code in found])[which].reshape(codes.shape)
    image = picture_of(image_for_mask(pair.image, codes, how, lambda: "turned"))
    if image.shape[:2] != truth.shape:
        raise DataError(f"{pair.name}: image and mask differ in size")
    return pair.name, image, truth


def _pair_tile(source: Source, place: int) -> Tile:
    return read_tile(source.pairs[place], source.label_map, source.image, source.mask_pages)


def _sample_tile(source: Source, place: int) -> Tile:
    sample = source.dataset[place]
    return sample.name, np.ascontiguousarray(sample.picture), sample.targets[source.head].numpy()
