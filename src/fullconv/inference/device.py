"""Where a model computes, and what is said when its memory ends."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from fullconv.errors import DataError, FullconvError, SpecError

log = logging.getLogger(__name__)
Image = TypeVar("Image")
Result = TypeVar("Result")


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


def moved(images: Tensor, device: torch.device) -> Tensor:
    """Return images on a device; to a card they go from pinned memory, so that nothing waits until they are there."""
    if device.type == "cuda" and images.device.type == "cpu":
        return images.pin_memory().to(device, non_blocking=True)
    return images.to(device)


SIGNS = ("allocate", "bad_alloc", "size calculation overflowed", "out of memory", "ALLOC_FAILED")
"""How torch says on every device that memory is used up, or would be, and how C++ and NVIDIA's libraries below it do."""
LOST = ("CUDA error", "CUDA driver", "cuDNN error", "CUBLAS_STATUS")
"""How torch says that a card does not compute any more; whatever is asked of it afterwards fails too."""


@contextlib.contextmanager
def memory_for(images: Tensor) -> Iterator[None]:
    """Turn the end of the memory into an error that says for which images (N, C, H, W), and that of a card into one as well.

    Raises
    ------
    DataError
        When memory is used up.
    FullconvError
        When the device does not compute any more.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in SIGNS):
            if any(sign in str(error) for sign in LOST):
                said = str(error).splitlines()[0]
                raise FullconvError(
                    f"the device does not compute any more: {said}; start again, or give the device cpu"
                ) from error
            raise
        height, width = images.shape[2:]
        raise DataError(f"no memory for an image of {height}×{width} pixels; cut it into parts or shrink it") from error


class Fitting:
    """Gives a function no more images at a time than memory holds; how many that are shows when it does not hold more.

    Examples
    --------
    >>> def doubled(images):
    ...     if len(images) > 2:
    ...         raise DataError("no memory") from torch.OutOfMemoryError()
    ...     return [2 * image for image in images]
    >>> Fitting()([1, 2, 3, 4, 5], doubled)
    [2, 4, 6, 8, 10]
    """

    def __init__(self) -> None:
        self.most: int | None = None

    def __call__(self, images: Sequence[Image], function: Callable[[Sequence[Image]], list[Result]]) -> list[Result]:
        """Return a result for each image; where a card's memory does not hold all of them, half of them go at a time, and so on.

        Raises
        ------
        DataError
            Those of the function, where it is not about several images on a card.
        """
        found: list[Result] = []
        while len(found) < len(images):
            part = images[len(found) :][: self.most]
            try:
                found += function(part)
            except DataError as error:
                if len(part) == 1 or not isinstance(error.__cause__, torch.OutOfMemoryError):
                    raise
                self.most = len(part) // 2
                log.warning("the card's memory does not hold %d images at once; going on with %d", len(part), self.most)
            else:
                continue
            torch.cuda.empty_cache()  # here, where nothing holds on to the images any more
        return found
