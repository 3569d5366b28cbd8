"""Small nets, in a file of their own: pytest rewrites the asserts of test files, and these are asserts as people write them."""

import torch
import torch.nn.functional as F
from torch import nn


class Cut(nn.Module):
    """A slice of both axes: a crop, a stride, or both."""

    def __init__(self, start: int, stop: int | None, step: int) -> None:
        super().__init__()
        self.key = slice(start, stop, step)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps[:, :, self.key, self.key]


class Padded(nn.Module):
    """``F.pad``, before and behind different."""

    def __init__(self, pad: tuple[int, int, int, int], mode: str) -> None:
        super().__init__()
        self.pad, self.mode = pad, mode

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return F.pad(maps, self.pad, self.mode)


class Wandering(nn.Module):
    """What leaves every value where it is, by way of other shapes: flattened, channels last, shuffled, doubled and halved."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = maps.shape
        assert channels == 1
        tokens = maps.flatten(2).transpose(1, 2)
        back = (tokens * 2).transpose(1, 2).reshape(batch, -1, height, width)
        both = torch.cat([back, maps], 1).permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        first, second = both.view(batch, 2, 1, height, width).transpose(1, 2).reshape(both.shape).chunk(2, 1)
        return first + second


def asserts(maps: torch.Tensor) -> torch.Tensor:
    assert maps.shape[1] == 4, "four channels"
    torch._assert(maps.shape[2] > 1, "two rows")
    return maps


def asserts_both(maps: torch.Tensor) -> torch.Tensor:
    assert maps.shape[1] == 4 and maps.ndim == 4  # noqa: PT018  # two in one is what is tried
    return maps
