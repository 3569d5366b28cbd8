"""Faults of files: partners that are missing, damage, sizes that differ, rotations that only the image knows of, depth."""

import re
from collections.abc import Iterator

import numpy as np

from fullconv.data.depth.intrinsics import Intrinsics
from fullconv.data.depth.rgbd import fitted_camera
from fullconv.data.folder.folder_depth import depth_settings
from fullconv.data.images import Glance
from fullconv.data.orientation import SIDEWAYS
from fullconv.data.rotation import Lies
from fullconv.data.sample import HHA
from fullconv.doctor.context import Context
from fullconv.doctor.depth_checks import MISSING, DepthFacts
from fullconv.doctor.facts import Facts, MaskFacts, upright_size
from fullconv.doctor.finding import Finding, counted, listed
from fullconv.errors import DataError

UNSAID = re.compile(r"data\.(image\.(bands|range|pages)|folder\.mask_pages)")
"""What errors name that a recipe must declare."""
LEFT_OUT = "; --fix DIR makes a copy without them"


def partners(context: Context) -> Iterator[Finding]:
    """Find images without mask, which stop training, and masks without image, which nobody would miss."""
    images = {name: path for source in context.sources for name, path in source.images.items()}
    masks = {name: path for source in context.sources for name, path in source.masks.items()}
    if images:
        what = f"{counted(len(images), 'image')} without mask: {listed([*images])}"
        fix = f"add the masks, or move the images away{LEFT_OUT}"
        yield Finding("error", "images without mask", len(images), what, fix, (*images,))
    if masks:
        what = f"{counted(len(masks), 'mask')} without image: {listed([*masks])}"
        fix = f"nothing learns from them; add the images, or see whether their names are meant so{LEFT_OUT}"
        yield Finding("warning", "masks without image", len(masks), what, fix, (*masks,))


def damage(context: Context) -> Iterator[Finding]:
    """Find files that cannot be read."""
    for noun, part in (("image", "image"), ("mask", "mask")):
        unread = [(fact.name, str(getattr(fact, part))) for fact in context.facts if isinstance(getattr(fact, part), str)]
        unsaid = [pair for pair in unread if UNSAID.search(pair[1])]
        if unsaid:
            names = [name for name, _ in unsaid]
            what = f"{counted(len(unsaid), noun)} that can be read in several ways: {listed(names)}; the first: {unsaid[0][1]}"
            fix = "say it in the recipe; `fullconv init` proposes bands and range, and asks about pages"
            yield Finding("error", f"undeclared {noun}s", len(unsaid), what, fix, tuple(names))
        broken = [pair for pair in unread if pair not in unsaid]
        if broken:
            names = [name for name, _ in broken]
            what = f"{counted(len(broken), noun)} that cannot be read: {listed(names)}; the first: {broken[0][1]}"
            fix = f"copy or export them again{LEFT_OUT}"
            yield Finding("error", f"unreadable {noun}s", len(broken), what, fix, tuple(names))


def sizes_differ(context: Context) -> Iterator[Finding]:
    """Find masks whose size is their image's neither as shown nor as stored."""
    found = [(fact.name, *both) for fact in context.facts if (both := _both(fact)) and not _fits(*both)]
    if found:
        _, image, mask = found[0]
        height, width = upright_size(image)
        what = (
            f"{counted(len(found), 'mask')} not of the image's size: {listed([entry[0] for entry in found])}; the first mask is "
            f"{mask.size[0]}×{mask.size[1]}, its image {height}×{width} (H×W)"
        )
        fix = "save image and mask at one size; masks must be resized by the nearest value"
        yield Finding("error", "sizes differ", len(found), what, fix, tuple(entry[0] for entry in found))


def rotations(context: Context) -> Iterator[Finding]:
    """Find images that a camera's note turns: with their mask, without it, or nobody can tell.

    Those that do not tell are read as the recipe says, else as those that do.
    """
    fits: dict[str, list[str]] = {"turned": [], "stored": [], "unclear": []}
    for fact in context.facts:
        if fact.lies is not None and fact.lies != "none":
            fits[fact.lies].append(fact.name)
    held = context.rotation
    count = {how: counted(len(names), "image") for how, names in fits.items()}
    if names := fits["stored"]:
        what = f"{count['stored']} turned by EXIF, but not the mask: {listed(names)}; the pixels are used as stored"
        fix = "turn image and mask upright, as photographs come in at prediction; --fix DIR does it"
        yield Finding("warning", "EXIF turns the image, not the mask", len(names), what, fix, tuple(names))
    if names := fits["unclear"]:
        what = (
            f"{count['unclear']} turned or mirrored by EXIF, where neither sizes nor outlines tell whether the mask is: "
            f"{listed(names)}"
        )
        kind = "EXIF may turn the image, not the mask"
        if held == "unclear":
            yield Finding(
                "error", kind, len(names), what, "look at one and set data.image.rotation to turned or stored", tuple(names)
            )
        else:
            said = "the recipe says" if context.spec.image.rotation else "the others of the folder say"
            fix = "look at the contact sheet (--out DIR)"
            yield Finding("warning", kind, len(names), f"{what}; {said} {held}", fix, tuple(names))
    if names := fits["turned"]:
        what = f"{count['turned']} turned by EXIF, mask and all: {listed(names)}; read upright"
        yield Finding("note", "EXIF rotation", len(names), what, "other programs may not turn them; --fix DIR does", tuple(names))


def depths(context: Context) -> Iterator[Finding]:
    """Find images without depth, depth maps that cannot be read or mean nothing in their unit, and those of another size."""
    missing = [fact.name for fact in context.facts if fact.depth == MISSING]
    broken = [(fact.name, fact.depth) for fact in context.facts if isinstance(fact.depth, str) and fact.depth != MISSING]
    found = [(fact, fact.depth) for fact in context.facts if isinstance(fact.depth, DepthFacts)]
    pairs = [(fact.name, depth, fact.mask) for fact, depth in found if isinstance(fact.mask, MaskFacts)]
    differ = [pair for pair in pairs if pair[1].size != pair[2].size]
    if missing:
        what = f"{counted(len(missing), 'image')} without depth: {listed(missing)}"
        yield Finding("error", "images without depth", len(missing), what, f"add the depth maps{LEFT_OUT}", tuple(missing))
    if broken:
        names = [name for name, _ in broken]
        what = f"{counted(len(broken), 'depth map')} that cannot be read: {listed(names)}; the first: {broken[0][1]}"
        fix = f"copy them again, or mend data.folder.depth_unit{LEFT_OUT}"
        yield Finding("error", "unreadable depth maps", len(broken), what, fix, tuple(names))
    if differ:
        _, depth, mask = differ[0]
        what = (
            f"{counted(len(differ), 'depth map')} not of the mask's size: {listed([name for name, *_ in differ])}; the first is "
            f"{depth.size[0]}×{depth.size[1]}, its mask {mask.size[0]}×{mask.size[1]} (H×W)"
        )
        fix = "save them at one size; depth must be resized by the nearest value"
        yield Finding("error", "depth sizes differ", len(differ), what, fix, tuple(name for name, *_ in differ))
    if found:
        low, middle, high = np.quantile([depth.median for _, depth in found], [0, 0.5, 1])
        holes = float(np.mean([depth.holes for _, depth in found]))
        what = f"depth maps have medians of {low:.2g} to {high:.2g} m, half of them below {middle:.2g} m; {holes:.0%} are holes"
        yield Finding("note", "depth", len(found), what, "a wrong unit would show here")


def cameras(context: Context) -> Iterator[Finding]:
    """Find images of another shape than the camera's, whose HHA would be of another view."""
    if HHA not in context.spec.streams or not any(fact.depth is not None for fact in context.facts):
        return
    _, camera = depth_settings(context.spec)
    if camera is None:
        return
    wrong = [
        (fact.name, error)
        for fact in context.facts
        if isinstance(fact.depth, DepthFacts) and (error := _misfit(camera, fact.depth))
    ]
    if wrong:
        names = [name for name, _ in wrong]
        what = f"{counted(len(wrong), 'image')} that the camera is not for: {listed(names)}; the first: {wrong[0][1]}"
        fix = "set data.folder.camera to the intrinsics of these images"
        yield Finding("error", "camera of another shape", len(wrong), what, fix, tuple(names))


def _misfit(camera: Intrinsics, depth: DepthFacts) -> str:
    try:
        fitted_camera(camera, depth.size)
    except DataError as error:
        return str(error)
    return ""


def lies_as(fact: Facts, context: Context) -> Lies:
    """Return on which pixels of an image its mask is taken to lie: as it shows itself, or the recipe or the other pairs say."""
    if fact.lies != "unclear":
        return fact.lies or "turned"
    return context.rotation


def _fits(image: Glance, mask: MaskFacts) -> bool:
    """Return whether a mask has the size of its image, as EXIF turns it or as it is stored."""
    return mask.size == upright_size(image) or (image.orientation in SIDEWAYS and mask.size == image.size)


def _both(fact: Facts) -> tuple[Glance, MaskFacts] | None:
    if isinstance(fact.image, Glance) and isinstance(fact.mask, MaskFacts):
        return fact.image, fact.mask
    return None
