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
        Folder of the masks, likewise.
    mask_suffix
        What a mask's name has after its image's, such as _mask.
    pattern
        How masks are called, such as "{stem}_mask.png"; {stem} is what an image's and its mask's name share, {parent} folders.
    image_pattern
        How images are called where their names have more than {stem}, such as "img_{stem}".
    """
    from fullconv.data.archive import is_archive, unpacked
    from fullconv.data.folder.init_recipe import PREFERRED, starter
    from fullconv.data.folder.layout import Wanted, guess_layout
    from fullconv.errors import DataError, SpecError
    from fullconv.files import replacing
    from fullconv.nn.weights import weights_at
    from fullconv.spec.recipe import load_recipe

    root = unpacked(folder, log) if is_archive(folder) else folder
    path = out or Path(f"{root.resolve().name}.yaml")
    if path.exists():
        raise DataError(f"{path} is there already; choose another --out")
    layout = guess_layout(root, Wanted(images, masks, mask_suffix, pattern, image_pattern))
    text = starter(root, path.stem, preferred=weights_at(PREFERRED) in ("file", "package"), layout=layout)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        try:
            data = load_recipe(temporary).data  # a recipe that cannot be read is not left behind
        except SpecError as error:
            raise SpecError(f"no recipe is written: {str(error).removeprefix(f'{temporary}: ')}") from error
    log(f"found {layout.said}")
    log(f"{path} is written, with {len(data.labels)} labels: {', '.join(data.labels)}; read it, then")
    recipe = shlex.quote(str(path))
    log(f"  fullconv data check {recipe}")
    log(f"  fullconv train {recipe}")
    if data.val == data.train:
        log(f"warning: there is nothing else to validate on than {data.train}; scores on it say nothing about new images")
