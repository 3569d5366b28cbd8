"""Files that lie in a storage with a URL (``s3://``, ``gs://``, ``memory://`` and what else fsspec opens), not in a folder.

How a storage is reached, with which keys and at which address, says the environment, as its own tools and fsspec read it: for
``s3://`` ``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL`` and so on. So every process of a run reaches it alike, and no key is stored.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
from fsspec.core import url_to_fs

from fullconv.errors import DataError, FullconvError, SpecError
from fullconv.files import replacing

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
SAID = 200
"""Letters of a storage's message that are passed on."""


def is_remote(text: str) -> bool:
    """Return whether a text is a URL and no path.

    Examples
    --------
    >>> is_remote("s3://bucket/photos"), is_remote("photos/s3"), is_remote("C:/photos")
    (True, False, False)
    """
    return bool(_URL.match(text))


@dataclass(frozen=True)
class RemotePath:
    """A file or folder in a storage, by its URL; the few of :class:`pathlib.Path`'s methods that prediction needs.

    Parameters
    ----------
    url
        Such as ``s3://bucket/photos``.

    Raises
    ------
    SpecError
        When fsspec knows no such storage, or what opens it is not installed.

    Examples
    --------
    >>> photos = RemotePath("memory://photos")
    >>> str(photos / Path("sea/a.jpg"))
    'memory://photos/sea/a.jpg'
    """

    url: str

    def __post_init__(self) -> None:
        if "::" in self.url:
            raise SpecError(f"{self.url} chains several storages; give the URL of one, such as s3://bucket/photos")
        _ = self.at

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: PurePath) -> "RemotePath":
        folder = self.url if self.url.endswith("://") else f"{self.url.rstrip('/')}/"
        return RemotePath(f"{folder}{name.as_posix()}")

    @property
    def at(self) -> tuple[Any, str]:
        """The file system, one for all paths of a process, and the path in it."""
        try:
            return url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            known = "" if isinstance(error, ImportError) else f"; known are {', '.join(sorted(fsspec.available_protocols()))}"
            raise SpecError(f"{self.url} cannot be opened: {_said(error)}{known}") from error

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePath(self.at[1]).name

    def read_bytes(self, most: int | None = None) -> bytes:
        """Return the content, or its first bytes.

        Raises
        ------
        DataError
            When there is no such file, or the storage does not give it.
        """
        storage, path = self.at
        try:
            return storage.cat_file(path, start=0, end=most) if most else storage.cat_file(path)
        except Exception as error:  # each storage's library has errors of its own
            raise DataError(f"{self.url} cannot be read: {_said(error)}") from error

    def write_bytes(self, content: bytes) -> None:
        """Write the content; object stores show the whole file or the old one.

        Raises
        ------
        FullconvError
            When the storage does not take it.
        """
        storage, path = self.at
        try:
            try:
                storage.pipe_file(path, content)
            except FileNotFoundError:  # where files need folders; but a bucket of a mistyped name is not made
                folders = PurePosixPath(path).parents
                if len(folders) < 3 or not storage.exists(str(folders[-2])):
                    raise
                storage.makedirs(str(folders[0]), exist_ok=True)
                storage.pipe_file(path, content)
        except Exception as error:  # as above
            raise FullconvError(f"cannot write {self.url}: {_said(error)}. What was there before is untouched") from error

    def files(self) -> dict[str, PurePath]:
        """Return what lies in and below a folder: URL and path below it, in alphabetical order; of a file nothing.

        Raises
        ------
        DataError
            When the storage does not list it.
        """
        storage, root = self.at
        try:
            storage.invalidate_cache()  # other processes write there too, before and after this
            found = sorted(storage.find(root))
            storage.invalidate_cache()
        except Exception as error:  # as above
            raise DataError(f"{self.url} cannot be listed: {_said(error)}") from error
        start = root.strip("/")
        below = (PurePath(path.strip("/")[len(start) :].lstrip("/")) for path in found if path.strip("/") != start)
        return {str(self / path): path for path in below}

    def matching(self) -> dict[str, PurePath]:
        """Return the files that a pattern means: URL, and path below the part without wildcards."""
        fixed = self.url.partition("*")[0]
        folder = RemotePath(fixed[: fixed.rindex("/") + 1])
        storage, pattern = self.at
        try:
            wanted = {path.strip("/") for path in storage.glob(pattern)}
        except Exception as error:  # as above
            raise DataError(f"{self.url} cannot be listed: {_said(error)}") from error
        return {url: path for url, path in folder.files().items() if RemotePath(url).at[1].strip("/") in wanted}


Place = Path | RemotePath
"""Where a file lies."""


def place_of(text: str) -> Place:
    """Return the folder or the place in a storage that a text means; ``file://`` is a folder.

    Examples
    --------
    >>> place_of("labels"), place_of("file:///tmp/labels"), str(place_of("memory://labels"))
    (PosixPath('labels'), PosixPath('/tmp/labels'), 'memory://labels')
    """
    if text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    return RemotePath(text) if is_remote(text) else Path(text)


@contextlib.contextmanager
def storing(place: Place) -> Iterator[Path]:
    """Yield a file of this machine to write to, which is then put in its place, whole; as :func:`fullconv.files.replacing`.

    Raises
    ------
    FullconvError
        When it cannot be written there.
    """
    if isinstance(place, Path):
        with replacing(place) as temporary:
            yield temporary
        return
    with TemporaryDirectory() as folder:
        file = Path(folder) / place.name
        yield file
        place.write_bytes(file.read_bytes())


@contextlib.contextmanager
def fetched(place: Place) -> Iterator[Path]:
    """Yield a file of this machine with the content of one that may lie elsewhere.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    if isinstance(place, Path):
        yield place
        return
    with TemporaryDirectory() as folder:
        file = Path(folder) / place.name
        file.write_bytes(place.read_bytes())
        yield file


def _said(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:SAID] + "…" * (len(text) > SAID)
