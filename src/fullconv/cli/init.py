"""``fullconv init``: write a recipe for a folder of images and masks."""

from pathlib import Path

from fullconv.cli.output import log


def init(folder: Path, /, *, out: Path | None = None) -> None:
    """Look at a folder of images and masks and write a recipe for it, with everything that you may want to change.

    Parameters
    ----------
    folder
        Holds images and masks of the same names, such as images/ and masks/, with or without train/ and val/.
    out
        The recipe; NAME-OF-FOLDER.yaml by default. It must not exist.
    """
    from fullconv.data.folder.init_recipe import PREFERRED, starter
    from fullconv.errors import DataError
    from fullconv.files import replacing
    from fullconv.nn.weights import weights_at
    from fullconv.spec.recipe import load_recipe

    path = out or Path(f"{folder.resolve().name}.yaml")
    if path.exists():
        raise DataError(f"{path} is there already; choose another --out")
    text = starter(folder, path.stem, preferred=weights_at(PREFERRED) in ("file", "package"))
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    data = load_recipe(path).data
    labels = data.labels
    log(f"{path} is written, with {len(labels)} labels: {', '.join(labels)}; read it, then: fullconv train {path}")
    if data.val == data.train:
        log(f"warning: there is nothing else to validate on than {data.train}; scores on it say nothing about new images")
