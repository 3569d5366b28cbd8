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
        Holds images and masks, such as images/ and masks/ of the same names, with or without train/ and val/; or a zip of it.
    out
        The recipe; NAME-OF-FOLDER.yaml by default. It must not exist.
    images
        Folder of the images below it; "{split}" stands for train and val, such as "images/{split}".
    masks
        Folder of the masks, likewise; "masks/{class}" where each folder in it holds the masks of one class.
    mask_suffix
        What a mask's name has after its image's, such as _mask.
    pattern
        How masks are called, such as "{stem}_mask.png"; {stem} is what an image's and its mask's name share, {parent} folders.
    image_pattern
        How images are called where their names have more than {stem}, such as "img_{stem}".
    names
        A list of class names; by default classes.txt and the like in the folder. none: name classes by their values.
    names_start
        The value of the first name in that list, such as 0 or 1, where the masks do not decide it.
    void
        The value without truth, such as 255; none: 255 is a class. Asked for where the masks do not decide it.
    class_attribute
        Of maps with a vector file as their truth: which attribute names the class of a shape.
    line_width
        Of lines and points in it, in units of the maps, such as metres.
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
        raise DataError(f"{path} is there already; choose another --out")
    if void is not None and void != "none" and not void.removeprefix("-").isdigit():
        raise SpecError(f"--void {void} is no value; give the number in the masks that has no truth, or none")
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
