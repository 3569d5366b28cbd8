"""Where a model computes, and what is said when its memory ends."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from fullconv.errors import DataError, SpecError


def find_device(name: str) -> torch.device:
    """Return the device that is called so; ``auto`` is ``cuda`` where there is one and ``cpu`` elsewhere.

    Raises
    ------
    SpecError
        When torch knows none of that name, or this machine has none.

    Examples
    --------
    >>> find_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # fails where nothing computes, as on "meta"
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        raise SpecError(
            f"torch finds no device {name!r} here; give auto, cpu, or cuda, cuda:1, mps where there is one"
        ) from error
    return device


SIGNS = ("allocate", "bad_alloc", "size calculation overflowed")
"""How torch says on every device that memory is used up, or would be, and how C++ below it does."""


@contextlib.contextmanager
def memory_for(images: Tensor) -> Iterator[None]:
    """Turn the end of the memory into an error that says for which images (N, C, H, W)."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in SIGNS):
            raise
        height, width = images.shape[2:]
        raise DataError(f"no memory for an image of {height}×{width} pixels; cut it into parts or shrink it") from error
