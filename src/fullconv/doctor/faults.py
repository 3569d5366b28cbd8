"""Faults of files: partners that are missing, damage, sizes that differ, rotations that only the image knows of."""

from collections.abc import Iterator

from fullconv.data.pictures import SIDEWAYS, Glance
from fullconv.doctor.case import Case
from fullconv.doctor.finding import Finding, counted, listed
from fullconv.doctor.scan import Facts, MaskFacts, upright_size

LEFT_OUT = "; --fix DIR makes a copy without them"


def partners(case: Case) -> Iterator[Finding]:
    """Find images without mask, which stop training, and masks without image, which nobody would miss."""
    images = {name: path for source in case.sources for name, path in source.images.items()}
    masks = {name: path for source in case.sources for name, path in source.masks.items()}
    if images:
        what = f"{counted(len(images), 'image')} without mask: {listed([*images])}"
        fix = f"add the masks, or move the images away{LEFT_OUT}"
        yield Finding("error", "images without mask", len(images), what, fix, (*images,))
    if masks:
        what = f"{counted(len(masks), 'mask')} without image: {listed([*masks])}"
        fix = f"nothing learns from them; add the images, or see whether their names are meant so{LEFT_OUT}"
        yield Finding("warning", "masks without image", len(masks), what, fix, (*masks,))


def damage(case: Case) -> Iterator[Finding]:
    """Find files that cannot be read."""
    for noun, part in (("image", "image"), ("mask", "mask")):
        broken = [(fact.name, str(getattr(fact, part))) for fact in case.facts if isinstance(getattr(fact, part), str)]
        if broken:
            names = [name for name, _ in broken]
            what = f"{counted(len(broken), noun)} that cannot be read: {listed(names)}; the first: {broken[0][1]}"
            fix = f"copy or export them again{LEFT_OUT}"
            yield Finding("error", f"unreadable {noun}s", len(broken), what, fix, tuple(names))


def sizes_differ(case: Case) -> Iterator[Finding]:
    """Find masks whose size is their image's neither as shown nor as stored."""
    found = [(fact.name, *both) for fact in case.facts if (both := _both(fact)) and fitting(*both) == "none"]
    if found:
        _, image, mask = found[0]
        height, width = upright_size(image)
        what = (
            f"{counted(len(found), 'mask')} not of the image's size: {listed([entry[0] for entry in found])}; the first mask is "
            f"{mask.size[0]}×{mask.size[1]}, its image {height}×{width} (H×W)"
        )
        fix = "save image and mask at one size; masks must be resized by the nearest value"
        yield Finding("error", "sizes differ", len(found), what, fix, tuple(entry[0] for entry in found))


def rotations(case: Case) -> Iterator[Finding]:
    """Find images that a camera's note turns: with their mask, without it, or nobody can tell."""
    fits: dict[str, list[str]] = {"turned": [], "stored": [], "either": []}
    for fact in case.facts:
        both = _both(fact)
        if both and both[0].orientation != 1 and fitting(*both) != "none":
            fits[fitting(*both)].append(fact.name)
    count = {how: counted(len(names), "image") for how, names in fits.items()}
    if names := fits["stored"]:
        what = f"{count['stored']} turned by EXIF, but not the mask: {listed(names)}; the pixels are used as stored"
        fix = "turn image and mask upright, as photographs come in at prediction; --fix DIR does it"
        yield Finding("warning", "EXIF turns the image, not the mask", len(names), what, fix, tuple(names))
    if names := fits["either"]:
        what = (
            f"{count['either']} turned or mirrored by EXIF, where sizes do not tell whether the mask is: {listed(names)}; it is "
            "taken to be"
        )
        fix = "look at the contact sheet (--out DIR); where it is not, remove the EXIF orientation"
        yield Finding("warning", "EXIF may turn the image, not the mask", len(names), what, fix, tuple(names))
    if names := fits["turned"]:
        what = f"{count['turned']} turned by EXIF, mask and all: {listed(names)}; read upright"
        yield Finding("note", "EXIF rotation", len(names), what, "other programs may not turn them; --fix DIR does", tuple(names))


def fitting(image: Glance, mask: MaskFacts) -> str:
    """Return to which pixels of its image a mask fits by size: ``turned`` (as EXIF says), ``stored``, ``either``, ``none``."""
    turned, stored = mask.size == upright_size(image), image.orientation in SIDEWAYS and mask.size == image.size
    if turned and (stored or image.orientation not in SIDEWAYS):
        return "either"
    return "turned" if turned else "stored" if stored else "none"


def _both(fact: Facts) -> tuple[Glance, MaskFacts] | None:
    if isinstance(fact.image, Glance) and isinstance(fact.mask, MaskFacts):
        return fact.image, fact.mask
    return None
