"""Padding in front of the net and crops behind it: sizes alone, in arithmetic that a symbol survives as well as a number."""

import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.geometry.axis import Pad
from fullconv.nn.align import Padding


class Fit(nn.Module):
    """Pad images (N, C, H, W) with zeros, in front and behind, as far as their logits need it.

    Parameters
    ----------
    padding
        From :func:`fullconv.nn.align.align`.
    """

    def __init__(self, padding: Padding) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, images: Tensor) -> Tensor:
        """Return the padded images; the very same where nothing is to be added."""
        if not self.padding.period:
            return images
        height, width = images.shape[-2:]
        before, behind = self.padding.before, self.padding.behind
        return F.pad(images, (before, behind(width), before, behind(height)))

    def axis_maps(self) -> tuple[Pad, Pad]:
        """Return the coordinate map of both axes."""
        return Pad(self.padding.before, self.padding.behind), Pad(self.padding.before, self.padding.behind)

    def extra_repr(self) -> str:
        """Return the padding for printing."""
        return f"before={self.padding.before}, smallest={self.padding.smallest}, period={self.padding.period}"


class Overlap(nn.Module):
    """Cut maps to where they overlap others: from index ``start`` on, as far as the others go from ``like_start`` on."""

    def __init__(self, start: int, like_start: int) -> None:
        super().__init__()
        self.start = start
        self.like_start = like_start

    def forward(self, maps: Tensor, like: Tensor) -> Tensor:
        """Return a view of ``maps`` (N, K, h, w)."""
        # a slice ends where its maps end; to take the smaller size here would double the time of an export, of symbolic sizes
        height, width = (other - self.like_start for other in like.shape[-2:])
        return maps[..., self.start : self.start + height, self.start : self.start + width]

    def axis_maps(self) -> tuple[Pad, Pad]:
        """Return the coordinate map of both axes; the size also depends on the other map (``like_start``)."""
        return Pad(-self.start), Pad(-self.start)

    def extra_repr(self) -> str:
        """Return the first index for printing."""
        return f"start={self.start}"
