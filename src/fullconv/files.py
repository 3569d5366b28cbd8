"""Files that are either the old one or the new one, never half of either."""

import contextlib
import glob
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from fullconv.errors import FullconvError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is flushed to disk and renamed to ``path``.

    When the block raises, the temporary file is removed and a file already at ``path`` stays as it was. A
    process killed inside the block leaves the old file and at most one ``.NAME.<hex>.tmp<suffix>`` beside it.

    Raises
    ------
    FullconvError
        When the folder cannot be written or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "table.csv"
    >>> with replacing(target) as temporary:
    ...     _ = temporary.write_text("a,b")
    >>> target.read_text()
    'a,b'
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.tmp{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = _mode_for(target, temporary)
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.chmod(mode)  # a library may have written it with rights of its own choice
        temporary.replace(target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FullconvError(
            f"cannot write {target}: {reason}. What was there before is untouched; free space or choose another folder"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_unfinished(path: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed inside :func:`replacing` have left beside ``path``; nobody may be writing it.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "table.csv"
    >>> target.with_name(".table.01234567.tmp.csv").touch()
    >>> remove_unfinished(target)
    >>> list(target.parent.iterdir())
    []
    """
    target = Path(path)
    for left in target.parent.glob(f".{glob.escape(target.stem)}.{'[0-9a-f]' * 8}.tmp{glob.escape(target.suffix)}"):
        left.unlink(missing_ok=True)


def _mode_for(target: Path, temporary: Path) -> int:
    """Return the rights of the file that is there; else those that the system gives a new one in this folder.

    They follow from the process's umask, which can only be read by setting it, for all threads. So a file is made, and looked at.
    """
    if target.exists():
        return target.stat().st_mode & 0o777
    made = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return os.fstat(made).st_mode & 0o777
    finally:
        os.close(made)
        temporary.unlink()
