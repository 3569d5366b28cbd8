"""``fullconv init``: write a recipe for a folder of images and masks."""

import shlex
from pathlib import Path

from fullconv.cli.output import log


def init(
    folder: Path,
    /,
    *,
    out: Path | None = None,
    images: str | None = None,
    masks: str | None = None,
    mask_suffix: str = "",
    pattern: str | None = None,
    image_pattern: str | None = None,
    names: str | None = None,
    names_start: int | None = None,
    void: str | None = None,
    class_attribute: str | None = None,
    line_width: float | None = None,
) -> None:
    """Look at a folder of images and masks and write a recipe for it, with everything that you may want to change.

    Layouts of well-known data sets and tools are found by themselves; --images, --masks and --pattern say what nothing guesses.

    Parameters
    ----------
    folder
        Folder of images and masks, such as images/ and masks/ with the same file names, with or without train/ and val/; or a zip
        file of it.
    out
        Recipe to write; NAME-OF-FOLDER.yaml by default. It must not exist yet.
    images
        Folder of the images below that; "{split}" stands for train and val, such as "images/{split}".
    masks
        Folder of the masks, likewise; "masks/{class}" where each folder in it holds the masks of one class.
    mask_suffix
        What the names of masks have in addition to those of images, such as _mask.
    pattern
        Pattern of the names of masks, such as "{stem}_mask.png"; {stem} is what an image's and its mask's name share, {parent}
        folders.
    image_pattern
        Pattern of the names of images where they have more than {stem}, such as "img_{stem}".
    names
        File with the names of the classes; by default classes.txt and the like in the folder. none: call classes by their values.
    names_start
        The value of the first name in that list, such as 0 or 1, where the masks do not decide it.
    void
        The value of pixels without ground truth, such as 255; none: 255 is a class. You are asked where the masks do not decide
        it.
    class_attribute
        For maps whose ground truth is a vector file: the attribute that names the class of a shape.
    line_width
        Width of lines and points in that file, in units of the maps, such as metres.

    Examples
    --------
    fullconv init photos
    fullconv init photos --images "rgb/{split}" --masks "gt/{split}" --out street.yaml
    """
    from fullconv.data.archive import is_archive, unpacked
    from fullconv.data.folder.guess_labels import Choices
    from fullconv.data.folder.init_recipe import PREFERRED, remarks_in, starter
    from fullconv.data.folder.layout import Wanted, guess_layout
    from fullconv.errors import DataError, SpecError
    from fullconv.files import replacing
    from fullconv.nn.weights import weights_at
    from fullconv.spec.recipe import load_recipe

    root = unpacked(folder, log) if is_archive(folder) else folder
    path = out or Path(f"{root.resolve().name}.yaml")
    if path.exists():
        raise DataError(f"{path} exists already; choose another --out")
    if void is not None and void != "none" and not void.removeprefix("-").isdigit():
        raise SpecError(
            f"--void {void} is not a value; give the number that pixels without ground truth have in the masks, or none"
        )
    layout = guess_layout(root, Wanted(images, masks, mask_suffix, pattern, image_pattern, class_attribute, line_width))
    choices = Choices(names, names_start, void)
    text = starter(root, path.stem, preferred=weights_at(PREFERRED) in ("file", "package"), layout=layout, choices=choices)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        try:
            data = load_recipe(temporary).data  # a recipe that cannot be read is not left behind
        except SpecError as error:
            raise SpecError(f"no recipe is written: {str(error).removeprefix(f'{temporary}: ')}") from error
    log(f"found {layout.said}")
    if layout.doubt:
        log(f"warning: {layout.doubt}")
    for remark in remarks_in(text):
        log(f"note: {remark}")
    log(f"{path} is written, with {len(data.labels)} labels: {', '.join(data.labels)}; read it, then")
    recipe = shlex.quote(str(path))
    log(f"  fullconv data check {recipe}")
    log(f"  fullconv train {recipe}")
    if data.val == data.train:
        log(f"warning: there is nothing else to validate on than {data.train}; scores on it say nothing about new images")
