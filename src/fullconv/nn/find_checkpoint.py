"""Which file is meant where a checkpoint is expected: a path, ``hf://owner/name``, or the name of an installed model.

A model is installed with pip as a package that holds one file, ``model.safetensors``, and says in its ``pyproject.toml`` what the
model is called and in which folder of the package it lies::

    [project.entry-points."fullconv.models"]
    voc-subset = "fullconv_voc_subset"

The package is looked up, and not imported. Where fullconv runs from its repository, the models in ``models/`` are there without
being installed. A file of that name goes before both.
"""

import os
import re
from functools import cache
from importlib import metadata, util
from pathlib import Path

from fullconv.errors import SpecError, WeightsError, nearest
from fullconv.nn.hub import FILE, fetch, hub_address

GROUP = "fullconv.models"
BUNDLED = ("voc-subset",)
"""Models of the repository's folder ``models/``."""
REPOSITORY = Path(__file__).parents[3]
_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,63}")


def find_checkpoint(source: str | os.PathLike[str]) -> Path:
    """Return the path of the file that is meant: fetched where the hub has it, and not opened; a path as it is.

    Raises
    ------
    WeightsError
        When the hub does not give it (see :func:`fullconv.nn.hub.fetch`); when it is one of our models and not
        installed; when an installed one has lost its file.
    """
    address = hub_address(source)
    if address is not None:
        return fetch(address)
    path = Path(source)
    if not _NAME.fullmatch(os.fspath(source)) or path.is_file():
        return path
    return find_installed(os.fspath(source)) or path


def is_published(source: str) -> bool:
    """Return whether a name is one of the hub or of an installed model, and no file; nothing is fetched."""
    if hub_address(source) is not None:
        return True
    return bool(_NAME.fullmatch(source)) and not Path(source).is_file() and (source in BUNDLED or source in installed())


def find_installed(name: str) -> Path | None:
    """Return the file of an installed model, ``None`` when none is called so.

    Raises
    ------
    WeightsError
        When it is one of ours and not installed; when its file is missing.
    """
    folder = installed().get(name)
    if folder is not None:
        if not (folder / FILE).is_file():
            raise WeightsError(f"the model {name} is installed in {folder}, but its {FILE} is missing; install it again")
        return folder / FILE
    if name not in BUNDLED:
        return None
    found = REPOSITORY / "models" / name / "src" / f"fullconv_{name.replace('-', '_')}" / FILE
    if not found.is_file():
        raise WeightsError(
            f"the model {name} is not installed; in a copy of fullconv's repository: pip install ./models/{name}; or name a file"
        )
    return found


@cache
def installed() -> dict[str, Path]:
    """Return the folders of the installed models by name."""
    folders = {}
    for entry in metadata.entry_points(group=GROUP):
        package = util.find_spec(entry.module)
        if package is not None and package.submodule_search_locations:
            folders[entry.name] = Path(next(iter(package.submodule_search_locations)))
    return folders


def models_called_like(source: str | os.PathLike[str]) -> list[str]:
    """Return the names of models, installed or the repository's, that are spelled most like what is no file."""
    name = os.fspath(source)
    return nearest(name, {*BUNDLED, *installed()}, alike=0.6) if _NAME.fullmatch(name) else []


def published_card(source: str | os.PathLike[str]) -> str | None:
    """Return the card (Markdown) that comes with a model that is named: installed, or the repository's; else ``None``.

    A package's card is its description, as pip keeps it.
    """
    name = os.fspath(source)
    if hub_address(source) is not None or not is_published(name):
        return None
    for entry in metadata.entry_points(group=GROUP, name=name):
        if entry.dist is not None:
            description = entry.dist.metadata.json.get("description")
            return description if isinstance(description, str) else None
    card = REPOSITORY / "models" / name / "README.md"
    return card.read_text(encoding="utf-8") if card.is_file() else None


def beside(source: str | os.PathLike[str], name: str) -> Path:
    """Return the path of a file beside a checkpoint of one's own.

    Raises
    ------
    SpecError
        When the checkpoint is on the hub or installed, where nothing of one's own belongs.
    """
    if is_published(Path(source).as_posix()):
        raise SpecError(f"{hub_address(source) or source} is no file of your own, beside which {name} could lie; say --out")
    return Path(source).with_name(name)
