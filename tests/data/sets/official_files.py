"""Folders of the official sizes from a few files: the rest are links to one."""

import os
from pathlib import Path


def fill(folder: Path, written: str, ids: list[str], suffix: str) -> None:
    """Give every other id a link in ``folder`` to the file that was written."""
    for name in ids:
        if name != written:
            os.link(folder / f"{written}{suffix}", folder / f"{name}{suffix}")


def lines(path: Path) -> list[str]:
    return path.read_text().split()
