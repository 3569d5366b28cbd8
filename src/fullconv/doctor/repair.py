"""A repaired copy of a folder, for what can be repaired without guessing; the folder itself is never written to.

What is done: pairs without partner or with a damaged file are left out. Images that EXIF turns are turned, where sizes say to
which pixels the mask belongs, and a mask that lies on the stored ones with them. Masks in a format with losses whose values are
all known become PNG. Masks that hold exactly the colours of the data set's own palette get its indices. In masks that were
smoothed or saved as JPEG each value without a meaning, which lies along a border, becomes that of the nearest class beside it.
Masks that are drawn from annotations become PNG, named by a list.

Depth maps that the recipe or a list names are copied as they are, and pairs without one that can be read are left out where
depth is read; an image whose mask and depth lie on the stored pixels is then not turned.

What is not: values without a meaning that fill areas, greys of a palette, sizes that differ, images in two splits.
What they should be only a person knows.
"""

import csv
import os
import shlex
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from fullconv.data.archive import MARK
from fullconv.data.drawn_mask import DrawnMask
from fullconv.data.images import SUFFIXES, Glance, decode
from fullconv.data.mask_arrays import ARRAY_SUFFIXES
from fullconv.data.orientation import ORIENTATION, TURNS
from fullconv.data.pairs import COLUMNS, DEPTH_COLUMN, Pair
from fullconv.data.stored_mask import LOSSY, stored_at
from fullconv.doctor.clean_masks import cleaned, is_worn
from fullconv.doctor.context import Context
from fullconv.doctor.facts import Facts, MaskFacts, Progress
from fullconv.doctor.file_checks import lies_as
from fullconv.doctor.mask_checks import lost_values
from fullconv.doctor.palette import Color, own_palette
from fullconv.errors import DataError, SpecError
from fullconv.labelmap import COLOR, codes_of, color_of
from fullconv.spec import DataSpec, FolderSpec

DRAWN_MASKS, DRAWN_LIST = "masks-drawn", "pairs-drawn.csv"
"""Where a copy keeps masks that were drawn from annotations, and what says which image each belongs to."""


@dataclass
class Repair:
    """What became of a folder's pairs, by name.

    Attributes
    ----------
    kept
        How many pairs the copy holds.
    left_out
        Pairs of which a file cannot be read, and files without a partner.
    turned
        Images, some with their masks, that EXIF turned.
    resaved
        Masks that became PNG.
    indexed
        Masks whose colours became indices.
    cleaned
        Masks whose specks along borders became the classes beside them.
    """

    kept: int = 0
    left_out: list[str] = field(default_factory=list)
    turned: list[str] = field(default_factory=list)
    resaved: list[str] = field(default_factory=list)
    indexed: list[str] = field(default_factory=list)
    cleaned: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Return what was done, in a line."""
        done = (
            (self.left_out, "left out"),
            (self.turned, "turned upright"),
            (self.resaved, "masks saved as PNG"),
            (self.indexed, "masks given indices for colours"),
            (self.cleaned, "masks freed of specks along borders"),
        )
        parts = [f"{len(names)} {what}" for names, what in done if names]
        return f"{self.kept} pairs copied, {', '.join(parts) or 'nothing to repair'}"


def repair(context: Context, out: Path, progress: Progress = lambda done, of: None) -> Repair:
    """Write a repaired copy of a folder's training and validation splits to ``out``; return what was done.

    The copy has the folder's layout, so the same recipe trains on it with another ``data.root``. It appears whole or not at all.

    Raises
    ------
    SpecError
        When the data set is no folder, or ``out`` is not a new place outside it.
    DataError
        When a list names files outside the folder.
    """
    root = _check(context, out)
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        done = _copy(context, root, work, progress)
        work.chmod(0o755)
        if out.exists():
            out.rmdir()  # empty
        work.rename(out)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return done


def _check(context: Context, out: Path) -> Path:
    root = context.spec.root
    if context.spec.folder.cut is not None:
        raise SpecError("--fix copies images and masks, and these are windows of maps: repair maps or vectors in a GIS")
    if context.spec.name != "folder" or root is None:
        raise SpecError(f"--fix copies folders of your own; {context.spec.name} is fetched anew where it is damaged")
    inside = root.resolve() in (out.resolve(), *out.resolve().parents)
    if inside or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise SpecError(f"--fix {out} must be a new or empty folder outside {root}")
    pairs = context.spec.folder.pairs
    if pairs is not None and (pairs.is_absolute() or ".." in pairs.parts):
        raise SpecError(
            f"--fix copies folders that hold their list; {pairs} lies elsewhere: put it into {root}, paths relative to it"
        )
    return root


def _copy(context: Context, root: Path, work: Path, progress: Progress) -> Repair:
    done = Repair(left_out=list({name: None for source in context.sources for name in (*source.images, *source.masks)}))
    indices = _indices(context)
    rows = []
    for number, fact in enumerate(context.facts, start=1):
        if fact.readable and fact.pair and not isinstance(fact.depth, str):
            depth = None
            if fact.pair.depth and fact.pair.depth.is_file():
                depth = _place(fact.pair.depth, root, work)
                shutil.copyfile(fact.pair.depth, depth)
            image, mask = (
                _place(Path(fact.pair.image), root, work),
                _place_of_mask(fact.pair, root, work, bool(context.spec.folder.classes)),
            )
            mask = _write(fact, context, fact.pair, image, mask, indices, done)
            rows.append((image, mask, fact.split, depth))
            done.kept += 1
        else:
            done.left_out.append(fact.name)
        progress(number, len(context.facts))
    for path in root.iterdir():  # lists of class names and such
        if path.is_file() and path.suffix.lower() not in SUFFIXES and path.name != MARK:  # the copy is no unpacked zip
            shutil.copyfile(path, work / path.name)
    if listed := copied(context.spec, work).folder.pairs:
        _write_list(work / listed, rows)
    return done


def copied(spec: DataSpec, out: Path) -> DataSpec:
    """Return what describes a repaired copy: its folder, and a list where masks were put together or lists said the splits."""
    folder = spec.folder
    if _needs_list(folder):
        folder = folder.model_copy(update={"annotations": None, "lists": None, "classes": (), "pairs": Path(DRAWN_LIST)})
    return spec.model_copy(update={"root": out, "folder": folder})


def settings_of_copy(spec: DataSpec, out: Path) -> str:
    """Return the settings with which the same recipe trains on a repaired copy, as a command takes them."""
    folder, settings = spec.folder, f"--data.root {shlex.quote(str(out))}"
    if not _needs_list(folder):
        return settings
    gone = {"annotations": folder.annotations is not None, "lists": folder.lists is not None, "classes": bool(folder.classes)}
    settings += "".join(f" --data.folder.{key} {'[]' if key == 'classes' else 'null'}" for key, there in gone.items() if there)
    return f"{settings} --data.folder.pairs {DRAWN_LIST}"


def _needs_list(folder: FolderSpec) -> bool:
    return folder.annotations is not None or folder.lists is not None or bool(folder.classes)


def _place_of_mask(pair: Pair, root: Path, work: Path, composed: bool) -> Path:
    if not composed and not isinstance(pair.mask, DrawnMask):
        return _place(Path(pair.mask), root, work)
    place = work / DRAWN_MASKS / f"{pair.name}.png"
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _indices(context: Context) -> dict[Color, int]:
    """Return the index of every colour of the data set's own palette; nothing when two indices have one colour."""
    palette = own_palette(context)
    return {color: index for index, color in palette.items()} if len(set(palette.values())) == len(palette) else {}


def _place(path: Path, root: Path, work: Path) -> Path:
    try:
        # not resolved: a link in the folder stands for what it points to
        place = work / Path(os.path.normpath(path)).relative_to(os.path.normpath(root))
    except ValueError as error:
        raise DataError(f"{path} lies outside {root}; --fix copies folders that hold all their files") from error
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _write(fact: Facts, context: Context, pair: Pair, image: Path, mask: Path, indices: dict[Color, int], done: Repair) -> Path:
    """Write image and mask, changed where they must be; return the mask's place, which ends in ``.png`` where it was changed."""
    glance, facts = fact.image, fact.mask
    assert isinstance(glance, Glance)
    assert isinstance(facts, MaskFacts)
    fits = lies_as(fact, context)
    writable = glance.kind.mode and (fits == "turned" or (fits == "stored" and not pair.depth))  # PIL writes it again
    turn = TURNS.get(glance.orientation) if writable else None
    if fits == "stored" and pair.mask.suffix.lower() in ARRAY_SUFFIXES:
        turn = None
    if turn is None:
        shutil.copyfile(pair.image, image)
    else:
        _turn_image(Path(pair.image), image, turn)
        done.turned.append(fact.name)
    changed: Image.Image | None = decode(pair.mask) if isinstance(pair.mask, DrawnMask) else None
    if facts.kind in LOSSY and lost_values(context):
        pass  # what a value was is not known: stays JPEG, which is an error
    elif is_worn(facts, context.label_map):
        changed = cleaned(stored_at(pair.mask), Path(pair.mask), context.label_map, context.surveys())
        done.cleaned.append(fact.name)
    elif facts.kind in LOSSY and not facts.unknown(context.label_map):
        changed = decode(pair.mask)
        done.resaved.append(fact.name)
    elif _stores_palette_colors(facts, context, indices):
        changed = _indexed(stored_at(pair.mask).plain, indices)
        done.indexed.append(fact.name)
    if fits == "stored" and turn is not None:
        changed = (changed or decode(pair.mask)).transpose(turn)
    if changed is None:
        shutil.copyfile(pair.mask, mask)
        return mask
    changed.save(mask.with_suffix(".png"), format="PNG")
    return mask.with_suffix(".png")


def _turn_image(source: Path, target: Path, turn: Image.Transpose) -> None:
    """Write an upright image; a JPEG is coded anew with its own tables, which costs next to nothing."""
    with Image.open(source) as image:
        exif = image.getexif()
        del exif[ORIENTATION]
        options: dict[str, Any] = {"lossless": True} if image.format == "WEBP" else {}
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            options = {"qtables": image.quantization, "subsampling": JpegImagePlugin.get_sampling(image)}
        kind = "JPEG" if image.format in LOSSY else image.format
        image.transpose(turn).save(target, format=kind, exif=exif, icc_profile=image.info.get("icc_profile"), **options)


def _stores_palette_colors(facts: MaskFacts, context: Context, indices: dict[Color, int]) -> bool:
    colors = [color_of(code) for code in facts.pixels if code >= COLOR]
    known = facts.codes == len(colors) and all(indices.get(color, -1) in context.label_map.meaning for color in colors)
    return bool(colors) and known and not context.label_map.has_colors


def _indexed(colors: NDArray[np.integer], indices: dict[Color, int]) -> Image.Image:
    codes, which = np.unique(codes_of(colors), return_inverse=True)
    values = np.array([indices[color_of(int(code))] for code in codes], np.uint8)[which]
    table = np.zeros((256, 3), np.uint8)
    for color, index in indices.items():
        table[index] = color
    image = Image.fromarray(values.reshape(colors.shape[:2]))
    image.putpalette(table.ravel().tolist())
    return image


def _write_list(path: Path, rows: list[tuple[Path, Path, str, Path | None]]) -> None:
    """Write the pairs of image, mask, split and depth, their paths relative to the list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow((*COLUMNS, DEPTH_COLUMN) if any(depth for *_, depth in rows) else COLUMNS)
        for image, mask, split, depth in rows:
            writer.writerow([_relative(image, path), _relative(mask, path), split, *([_relative(depth, path)] if depth else [])])


def _relative(file: Path, listed: Path) -> str:
    return Path(os.path.relpath(str(file), listed.parent)).as_posix()
