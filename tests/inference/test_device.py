"""What is said and done when a card's memory ends, or the card itself."""

from collections.abc import Sequence

import pytest
import torch

from fullconv.errors import DataError, FullconvError
from fullconv.inference.device import Fitting, memory_for

IMAGES = torch.zeros(2, 3, 40, 60)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: out of memory"),
        MemoryError(),
    ],
)
def test_the_end_of_memory_names_the_size_of_the_images(error: Exception) -> None:
    with pytest.raises(DataError, match="no memory for an image of 40×60 pixels"), memory_for(IMAGES):
        raise error


def test_the_end_of_a_card_ends_the_run_in_one_line() -> None:
    lost = RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported")
    with pytest.raises(FullconvError) as found, memory_for(IMAGES):
        raise lost
    assert not isinstance(found.value, DataError)  # further images would fail too
    assert str(found.value) == (
        "the device does not compute any more: CUDA error: unspecified launch failure; start again, or give the device cpu"
    )


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match=r"^sizes do not match$"), memory_for(IMAGES):
        raise RuntimeError("sizes do not match")


def test_images_go_in_halves_until_they_fit_and_stay_so(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[int] = []

    def doubled(images: Sequence[int]) -> list[int]:
        asked.append(len(images))
        if len(images) > 3:
            raise DataError("no memory") from torch.OutOfMemoryError()
        return [2 * image for image in images]

    fitting = Fitting()
    assert fitting(range(8), doubled) == list(range(0, 16, 2))
    assert asked == [8, 4, 2, 2, 2, 2]
    assert "does not hold 8 images at once; going on with 4" in caplog.text
    asked.clear()
    assert fitting(range(8), doubled) == list(range(0, 16, 2))
    assert asked == [2, 2, 2, 2]


@pytest.mark.parametrize("cause", [torch.OutOfMemoryError(), ValueError()])
def test_what_fewer_images_do_not_mend_is_raised(cause: Exception) -> None:
    def failing(images: Sequence[int]) -> list[int]:
        raise DataError("no memory") from cause

    with pytest.raises(DataError, match="no memory"):
        Fitting()([1] if isinstance(cause, torch.OutOfMemoryError) else [1, 2], failing)
