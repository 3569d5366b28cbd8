"""``fullconv init``: write a recipe for a folder of images and masks."""

from pathlib import Path

from fullconv.cli.output import log


def init(
    folder: Path,
    /,
    *,
    out: Path | None = None,
    names: str | None = None,
    names_start: int | None = None,
    void: str | None = None,
) -> None:
    """Look at a folder of images and masks and write a recipe for it, with everything that you may want to change.

    Parameters
    ----------
    folder
        Holds images and masks of the same names, such as images/ and masks/, with or without train/ and val/.
    out
        The recipe; NAME-OF-FOLDER.yaml by default. It must not exist.
    names
        A list of class names; by default classes.txt and the like in the folder. none: name classes by their values.
    names_start
        The value of the first name in that list, such as 0 or 1, where the masks do not decide it.
    void
        The value without truth, such as 255; none: 255 is a class. Asked for where the masks do not decide it.
    """
    from fullconv.data.folder.guess_labels import Choices
    from fullconv.data.folder.init_recipe import PREFERRED, remarks_in, starter
    from fullconv.errors import DataError, SpecError
    from fullconv.files import replacing
    from fullconv.nn.weights import weights_at
    from fullconv.spec.recipe import load_recipe

    path = out or Path(f"{folder.resolve().name}.yaml")
    if path.exists():
        raise DataError(f"{path} is there already; choose another --out")
    if void is not None and void != "none" and not void.removeprefix("-").isdigit():
        raise SpecError(f"--void {void} is no value; give the number in the masks that has no truth, or none")
    choices = Choices(names, names_start, void)
    text = starter(folder, path.stem, preferred=weights_at(PREFERRED) in ("file", "package"), choices=choices)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    labels = load_recipe(path).data.labels
    for remark in remarks_in(text):
        log(f"note: {remark}")
    log(f"{path} is written, with {len(labels)} labels: {', '.join(labels)}; read it, then: fullconv train {path}")
