"""Masks in files of several pages: a page for each class, or only the first of them."""

import os

import numpy as np
from numpy.typing import NDArray

from fullconv.data.images import pages_of
from fullconv.errors import DataError


def read_class_pages(path: str | os.PathLike[str], pages: str) -> NDArray[np.integer]:
    """Return the values (H, W) of a mask in a file of several pages.

    Parameters
    ----------
    path
        Of the mask.
    pages
        ``first`` returns the first page as it is. ``classes`` returns for each pixel the number, counted from 1, of the last page
        in which it is not 0; 0 where it is in none.

    Raises
    ------
    DataError
        When the file cannot be read or holds anything but grey pages of whole numbers.
    """
    found = pages_of(path)
    if found[0].dtype.kind not in "iub":
        raise DataError(f"{path}: a mask of floating point numbers; store whole numbers or colours")
    return found[0].astype(np.int64) if pages == "first" else pages_to_values(found)


def pages_to_values(pages: list[NDArray[np.generic]]) -> NDArray[np.int64]:
    """Return the values (H, W) of pages that mark one class each.

    Examples
    --------
    >>> pages_to_values([np.array([[255, 255, 0]]), np.array([[0, 1, 0]])]).tolist()
    [[1, 2, 0]]
    """
    values = np.zeros(pages[0].shape, np.int64)
    for number, page in enumerate(pages, start=1):
        values[page != 0] = number
    return values


def marks_classes(path: str | os.PathLike[str]) -> bool:
    """Return whether each page of a mask holds nothing but 0 and one other value, and no pixel is marked twice."""
    pages = pages_of(path)
    marked = sum((page != 0).astype(np.int64) for page in pages)
    return (
        len(pages) > 1 and all(len(np.unique(page[page != 0])) <= 1 for page in pages) and bool((np.asarray(marked) <= 1).all())
    )
