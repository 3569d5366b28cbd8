"""Zip archives as the root of a data set: unpacked beside themselves once, with a line that says so.

They are unpacked and not read in place, as links, lists and repairs work on folders, and images are read many times.
An archive comes from anywhere, so what would write outside the folder or fill the disk is refused before anything is written.
"""

import json
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from fullconv.errors import DataError
from fullconv.spec.renamed import to_standard_error

MARK = ".fullconv-zip.json"
"""Says within an unpacked folder what it is made of."""
MOST_TIMES = 200
"""How much larger than the archive its files may be, beyond :data:`FREE`; masks without compression shrink to a hundredth."""
FREE = 2**30
MOST_FILES = 5_000_000
_CHUNK = 2**20


def is_archive(path: Path | None) -> bool:
    """Return whether a path is a zip archive."""
    return path is not None and path.suffix.lower() == ".zip" and path.is_file()


def unpacked(archive: Path, say: Callable[[str], None] = to_standard_error) -> Path:
    """Return the folder that an archive was unpacked to: ``photos`` beside ``photos.zip``; it is unpacked if it was not yet.

    Parameters
    ----------
    archive
        A zip file.
    say
        Called with a line when it is unpacked.

    Raises
    ------
    DataError
        When it is damaged or encrypted, names files outside itself, holds links, is a bomb, when the folder is there already and
        holds something else, or it cannot be written.
    """
    folder = archive.with_suffix("")
    state = archive.stat()
    made_of = {"archive": archive.name, "bytes": state.st_size, "modified": state.st_mtime_ns}
    if folder.exists():
        if _mark(folder) == made_of:
            return folder
        raise DataError(
            f"{archive} would be unpacked to {folder}, which exists already and holds something else; give {folder} itself if "
            "it is the unpacked archive, else move one of them"
        )
    files = _checked(archive)
    try:
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=archive.parent))
    except OSError as error:
        raise DataError(
            f"{archive} cannot be unpacked beside itself ({error.strerror}); unpack it elsewhere and give that"
        ) from error
    try:
        total = _unpack(archive, files, work)
        (work / MARK).write_text(json.dumps(made_of), encoding="utf-8")
        work.chmod(0o755)
        if not folder.exists():  # another process may have been faster
            work.rename(folder)
    except OSError as error:
        raise DataError(
            f"{archive} cannot be unpacked to {folder}: {error.strerror or error}; make room, or unpack it elsewhere"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(f"{archive} is unpacked to {folder}: {len(files)} files, {total / 1e6:.1f} MB; later calls take the folder")
    return folder


def _mark(folder: Path) -> object:
    try:
        return json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _checked(archive: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the files of an archive by their path, when none of them can do harm."""
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(
            f"{archive}: cannot be read as a zip archive ({error}); it is damaged or no zip, copy it again"
        ) from error
    files: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename.replace("\\", "/")  # as some Windows programs write it
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
            raise DataError(f"{archive}: it names {entry.filename!r}, a file outside itself; it is not unpacked")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise DataError(f"{archive}: {entry.filename!r} is a link; it is not unpacked: pack the files themselves")
        if entry.flag_bits & 1:
            raise DataError(f"{archive}: {entry.filename!r} is encrypted; unpack it with its password and give the folder")
        if not any(part == "__MACOSX" or part.startswith("._") for part in parts):
            files[name] = entry
    total, size = sum(entry.file_size for entry in files.values()), archive.stat().st_size
    if total > FREE + MOST_TIMES * size or len(files) > MOST_FILES:
        raise DataError(
            f"{archive}: {size / 1e6:.1f} MB would become {total / 1e6:.0f} MB in {len(files)} files, "
            "as an archive made to fill disks; "
            "unpack it by hand if you trust it"
        )
    if total > shutil.disk_usage(archive.parent).free:
        raise DataError(
            f"{archive}: its files need {total / 1e6:.0f} MB and the disk has less; unpack it elsewhere and give that folder"
        )
    return files


def _unpack(archive: Path, files: dict[str, zipfile.ZipInfo], work: Path) -> int:
    """Write the files below a folder; return their bytes."""
    total = 0
    with zipfile.ZipFile(archive) as opened:
        for name, entry in files.items():
            target = work / name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(entry) as source, target.open("xb") as sink:
                    while chunk := source.read(_CHUNK):
                        total += sink.write(chunk)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
                raise DataError(f"{archive}: {name} in it is damaged ({error}); copy it again") from error
            except (FileExistsError, NotADirectoryError) as error:
                raise DataError(f"{archive}: {name} is in it twice, as a file or a folder; pack it again") from error
    return total
