"""Convolutions of 3×3 by Winograd's minimal filtering: a quarter of the multiplications, for maps of many channels.

A tile of 4×4 outputs reads 6×6 inputs. Inputs and weights are taken to the values that the polynomials they stand for have at
six points, in each direction. There a convolution is one product at each of the 36 places, and 36 products give 16 outputs, which
take 144 otherwise. The way there and back is the same for any number of channels on the other side, so many channels gain: on an
AMD EPYC 128 channels take 0.7 of the time that oneDNN's direct convolution takes, 256 half, 512 0.4 to 0.5.

The points decide how exact this is. With 0, ±5/8, ±3/2 and infinity the largest error is about twice that of a direct convolution
in float32; with the usual 0, ±1, ±2 it is three times as large again (tests/inference/engines/test_winograd.py).

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fullconv.inference.engines.packed import PackedConv2d

POINTS = (0.0, 5 / 8, -5 / 8, 3 / 2, -3 / 2)
OUT, TAPS = 4, 3
"""Outputs of a tile, and weights, in each direction."""
IN = OUT + TAPS - 1
"""Inputs that a tile reads."""
LEAST_CHANNELS = 128
"""On both sides; with fewer the changes of basis cost what the multiplications save."""
LEAST_TILES = 32
"""Of a map; with fewer, reading four times as many weights costs what the multiplications save."""
BLOCK = 2**23
"""Bytes of the tiles that are computed at a time, about, so that they stay in the processor's caches."""


def transforms() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the changes of basis of inputs (6, 6), weights (6, 3) and outputs (4, 6), of one direction.

    Outputs ``y[i] = sum of w[k] x[i + k]`` are ``outputs @ ((weights @ w) * (inputs @ x))``.

    Examples
    --------
    >>> inputs, weights, outputs = transforms()
    >>> x, w = np.arange(6.0), np.array([1.0, 0.0, -1.0])
    >>> (outputs @ ((weights @ w) * (inputs @ x))).round(6).tolist()
    [-2.0, -2.0, -2.0, -2.0]
    """
    finite = np.array(POINTS)
    others = [np.delete(finite, place) for place in range(len(finite))]
    inputs, weights, outputs = np.zeros((IN, IN)), np.zeros((IN, TAPS)), np.zeros((OUT, IN))
    for place, (point, rest) in enumerate(zip(finite, others, strict=True)):
        inputs[place, : IN - 1] = np.poly(rest)[::-1]
        weights[place] = point ** np.arange(TAPS) / np.prod(point - rest)
        outputs[:, place] = point ** np.arange(OUT)
    inputs[-1], weights[-1, -1], outputs[-1, -1] = np.poly(finite)[::-1], 1, 1  # infinity: the leading coefficients
    return inputs, weights, outputs


class Tiling(NamedTuple):
    """How a map is cut: its size, and the rows and columns of its tiles."""

    height: int
    width: int
    rows: int
    columns: int

    @classmethod
    def of(cls, maps: Tensor, padding: tuple[int, ...]) -> "Tiling":
        """Return that of what is made of maps (N, C, h, w) with so many zeros around them (vertical, horizontal)."""
        height, width = (side + 2 * zeros - TAPS + 1 for side, zeros in zip(maps.shape[-2:], padding, strict=True))
        return cls(height, width, -(-height // OUT), -(-width // OUT))

    @property
    def pays(self) -> bool:
        """Whether there are enough tiles."""
        return self.rows * self.columns >= LEAST_TILES

    def blocks(self, channels: int) -> list[slice]:
        """Return rows of tiles to compute at a time, as equal as can be."""
        count = min(math.ceil(4 * IN * IN * channels * self.rows * self.columns / BLOCK), self.rows)
        ends = [self.rows * place // count for place in range(count + 1)]
        return [slice(*pair) for pair in itertools.pairwise(ends)]


class Moved:
    """A 3×3 convolution whose weights have been taken to the 36 places, and the ReLU behind it where there is one.

    Parameters
    ----------
    weight
        Float32 (C', C, 3, 3).
    bias
        Float32 (C',), or none.
    relu
        Whether negative outputs become zero.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, relu: bool) -> None:
        inputs, weights, outputs = transforms()
        basis = torch.from_numpy(weights)
        self.made, self.read = weight.shape[:2]
        self.weights = weight.new_empty(IN, IN, self.read, self.made)
        for some in torch.arange(self.made).split(64):  # float64 takes twice the memory, so of some at a time
            self.weights[..., some] = (basis @ weight[some].double() @ basis.T).permute(2, 3, 1, 0).float()
        self._inputs = torch.from_numpy(np.kron(inputs, inputs)).float()
        self._outputs = torch.from_numpy(np.kron(outputs, outputs)).float()
        self.bias, self.relu = bias, relu

    def __call__(self, maps: Tensor, padding: tuple[int, ...], tiling: Tiling) -> Tensor:
        """Return maps (N, C', h', w') of maps (N, C, h, w) with so many zeros around them (vertical, horizontal)."""
        height, width, rows, columns = tiling
        behind = rows * OUT - height, columns * OUT - width
        around = (0, 0, padding[1], padding[1] + behind[1], padding[0], padding[0] + behind[0])
        maps = F.pad(maps.permute(0, 2, 3, 1), around).contiguous()  # (N, H, W, C)
        found = maps.new_empty(len(maps), rows, OUT, columns, OUT, self.made)
        for image, made in zip(maps, found, strict=True):
            for block in tiling.blocks(max(self.made, self.read)):
                self._rows(image[block.start * OUT :], made[block])
        whole = found.view(len(maps), rows * OUT, columns * OUT, self.made)
        return whole[:, :height, :width].permute(0, 3, 1, 2)

    def _rows(self, image: Tensor, found: Tensor) -> None:
        """Compute rows of tiles ``found`` (rows, 4, columns, 4, C') of an image (H, W, C) that begins where they read."""
        rows, _, columns, _, _ = found.shape
        line = image.stride(0)
        shape, strides = (IN, IN, rows, columns, self.read), (line, self.read, OUT * line, OUT * self.read, 1)
        tiles = image.as_strided(shape, strides, image.storage_offset())
        places = (self._inputs @ tiles.reshape(IN * IN, -1)).view(IN * IN, -1, self.read)
        products = torch.bmm(places, self.weights.view(IN * IN, self.read, self.made))
        outputs = (self._outputs @ products.view(IN * IN, -1)).view(OUT, OUT, rows, columns, self.made)
        if self.bias is None:
            found.copy_(outputs.permute(2, 0, 3, 1, 4))
        else:
            torch.add(outputs.permute(2, 0, 3, 1, 4), self.bias, out=found)
        if self.relu:
            found.relu_()


class WinogradConv2d(PackedConv2d):
    """A packed convolution that is computed by Winograd's algorithm where that gains, which is four times its weights kept."""

    _moved: Moved | None = None

    @property
    def gains(self) -> bool:
        """Whether it is of the kind that gains: 3×3, stride 1, in float32, many channels on both sides."""
        made, read, *taps = self.weight.shape
        plain = self.stride == [1, 1] and self.dilation == [1, 1] and self.groups == 1
        known = self.activation in ("none", "relu") and self.dtype == torch.float32
        return taps == [TAPS, TAPS] and plain and known and min(made, read) >= LEAST_CHANNELS

    @property
    def work(self) -> int:
        """Multiplications for one place of a map that is not small."""
        return super().work * IN**2 // (OUT * TAPS) ** 2 if self.gains else super().work

    def padded(self, maps: Tensor, padding: tuple[int, ...]) -> Tensor:
        """Return maps with so many zeros around the input; see :class:`fullconv.nn.window.Convolution`."""
        if not self.gains or not (tiling := Tiling.of(maps, padding)).pays:
            return super().padded(maps, padding)
        if self._moved is None:
            self._moved = Moved(self.weight, self.bias, self.activation == "relu")
        return self._moved(maps.float(), padding, tiling)
