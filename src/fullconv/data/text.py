"""Text that comes with a data set: lists of images, names of classes and splits."""

import unicodedata
from pathlib import Path

from fullconv.errors import DataError

UTF16 = (b"\xff\xfe", b"\xfe\xff")
"""How text in UTF-16 begins, which spreadsheets call Unicode text."""


def read_text(path: Path) -> str:
    r"""Return a file's text: UTF-8 with or without the mark that Windows puts in front of it, UTF-16 with it.

    Raises
    ------
    DataError
        When the file is missing, cannot be read, or is in another encoding.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "classes.txt"
    >>> _ = path.write_bytes(b"\xef\xbb\xbfStra\xc3\x9fe\n")
    >>> read_text(path).split()
    ['Straße']
    """
    try:
        with path.open("rb") as handle:
            wide = handle.read(2) in UTF16
        return path.read_text(encoding="utf-16" if wide else "utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeError as error:
        if not isinstance(error, UnicodeDecodeError) or error.encoding.startswith("utf-16"):
            raise DataError(f"{path}: begins as UTF-16 and is none ({error}); save it as UTF-8") from error
        raise DataError(
            f"{path}: is no text in UTF-8 (byte {error.start} is {error.object[error.start]:#x}); save it as UTF-8"
        ) from error


def plain_split(name: str) -> str:
    """Return the name of a split as it is compared: upper and lower case and outer spaces make no other split."""
    return name.strip().casefold()


def same_split(one: str, other: str) -> bool:
    """Return whether two names stand for one split.

    Examples
    --------
    >>> same_split("Train ", "train"), same_split("train", "train2")
    (True, False)
    """
    return plain_split(one) == plain_split(other)


def listed_path(folder: Path, text: str) -> Path:
    r"""Return the file that a list names: with slashes or a Windows machine's ``\``, accents stored in either way.

    Examples
    --------
    >>> listed_path(Path("own"), r"images\a.jpg ").as_posix()
    'own/images/a.jpg'
    """
    plain = text.strip()
    places = [folder / plain, folder / plain.replace("\\", "/")]
    places += [Path(unicodedata.normalize(form, str(place))) for place in places for form in ("NFC", "NFD")]
    return next((place for place in places if place.exists()), places[1])
