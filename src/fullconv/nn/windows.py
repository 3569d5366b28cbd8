"""Layers that do at every position of a map what a classifier's head does once, on the map of its native window."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.geometry.axis import POINTWISE, Window

Pair = tuple[int, int]


class DilatedAverage(nn.Module):
    """Average pooling whose windows take every ``dilation``-th entry; zeros of the padding count, as in ``nn.AvgPool2d``.

    Parameters
    ----------
    windows
        Vertical and horizontal.
    divisor
        What the sum over a window is divided by.
    """

    def __init__(self, windows: tuple[Window, Window], divisor: int) -> None:
        super().__init__()
        self.windows = windows
        self.divisor = divisor

    def forward(self, maps: Tensor) -> Tensor:
        """Return the pooled maps (N, C, h, w)."""
        vertical, horizontal = self.windows
        sums = F.pad(maps, (horizontal.before, horizontal.after, vertical.before, vertical.after))
        for dim, window in zip((-2, -1), self.windows, strict=True):
            sums = sums.unfold(dim, window.extent + 1, window.stride)[..., :: window.dilation].sum(-1)
        return sums / self.divisor

    def axis_maps(self) -> tuple[Window, Window]:
        """Return the coordinate map of both axes."""
        return self.windows

    def extra_repr(self) -> str:
        """Return the windows for printing."""
        return f"{self.windows}, divisor={self.divisor}"


class WindowToChannels(nn.Module):
    """The entries of the window at every position, as channels: what flattening the window's map gives.

    Parameters
    ----------
    size
        (rows, columns) of the window.
    gap
        How many entries of the map its rows and columns are apart.
    order
        In which order they are flattened: the letters c, y and x, the slowest first.
    """

    def __init__(self, size: Pair, gap: Pair, order: str = "cyx") -> None:
        super().__init__()
        self.size = size
        self.gap = gap
        self.order = order

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps (N, C·rows·columns, h, w) of (N, C, H, W)."""
        height, width = (maps.shape[i - 2] - self.gap[i] * (self.size[i] - 1) for i in (0, 1))
        entries = [
            maps[:, :, y * self.gap[0] :, x * self.gap[1] :][:, :, :height, :width]
            for y in range(self.size[0])
            for x in range(self.size[1])
        ]
        gathered = torch.stack(entries, 2).unflatten(2, self.size)
        order = [1 + "cyx".index(letter) for letter in self.order]
        return gathered.permute(0, *order, 4, 5).flatten(1, 3)

    def axis_maps(self) -> tuple[Window, Window]:
        """Return the coordinate map of both axes."""
        vertical, horizontal = (Window(n, dilation=gap) for n, gap in zip(self.size, self.gap, strict=True))
        return vertical, horizontal

    def extra_repr(self) -> str:
        """Return the window for printing."""
        return f"size={self.size}, gap={self.gap}, order={self.order!r}"


class ChannelNorm(nn.Module):
    """Layer norm over groups of channels, at every position by itself: what layer and group norm do to a vector.

    Parameters
    ----------
    weight, bias
        For every channel; ``None`` for none.
    groups
        1 for layer norm.
    eps
        Added to the variance.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, weight: Tensor | None, bias: Tensor | None, groups: int, eps: float) -> None:
        super().__init__()
        self.register_parameter("weight", _parameter(weight))
        self.register_parameter("bias", _parameter(bias))
        self.groups = groups
        self.eps = eps

    def forward(self, maps: Tensor) -> Tensor:
        """Return the normalised maps (N, C, h, w)."""
        grouped = maps.unflatten(1, (self.groups, -1)).movedim(2, -1)
        normed = F.layer_norm(grouped, grouped.shape[-1:], eps=self.eps).movedim(-1, 2).flatten(1, 2)
        if self.weight is not None:
            normed = normed * self.weight[:, None, None]
        return normed if self.bias is None else normed + self.bias[:, None, None]

    def axis_maps(self) -> tuple[Window, Window]:
        """Return the coordinate map of both axes."""
        return POINTWISE, POINTWISE

    def extra_repr(self) -> str:
        """Return the groups for printing."""
        return f"groups={self.groups}, eps={self.eps}"


def _parameter(tensor: Tensor | None) -> nn.Parameter | None:
    return tensor if tensor is None or isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, requires_grad=False)
