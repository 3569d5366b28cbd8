"""Convolutions by Winograd's minimal filtering: a quarter or a third of the multiplications, for maps of many channels.

For 3×3 weights, a tile of 4×4 outputs reads 6×6 inputs. Inputs and weights are taken to the values that the polynomials they
stand for have at six points, in each direction. There a convolution is one product at each of the 36 places, and 36 products give
16 outputs, which take 144 otherwise. For the 7×7 of VGG16's fc6, 64 products give 4 outputs in place of 196. The way there and
back is the same for any number of channels on the other side, so many channels gain (benchmarks/winograd.py).

The points decide how exact this is. With those below the largest error of a layer is 2 to 6 millionths of its largest value; that
of a direct convolution in float32 is 1 to 2, and the usual points for 3×3, 0, ±1 and ±2, have 8.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
"""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from fullconv.inference.engines.packed import PackedConv2d

LEAST_CHANNELS = 128
"""On both sides; there the changes of basis cost about what the multiplications save, and with more channels less."""
LEAST_TILES = 32
"""Of a map; with fewer, reading more weights costs what the multiplications save."""
BLOCK, BLOCK_TILES = 2**23, 64
"""Bytes of the tiles that are computed at a time, so that they stay in the processor's caches; and so many tiles at least, as
each block reads all weights."""

AT_ONCE = 16
"""Output channels whose weights are moved at a time."""


class Filtering(NamedTuple):
    """Minimal filtering of one size, the same in both directions.

    Parameters
    ----------
    taps
        Weights in a direction.
    out
        Outputs of a tile in a direction.
    points
        Where polynomials are evaluated, but for infinity; ``taps + out - 2`` of them.
    """

    taps: int
    out: int
    points: tuple[float, ...]

    @property
    def read(self) -> int:
        """Inputs of a tile in a direction."""
        return self.taps + self.out - 1

    def transforms(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the changes of basis of inputs (read, read), weights (read, taps) and outputs (out, read), of one direction.

        Outputs ``y[i] = sum of w[k] x[i + k]`` are ``outputs @ ((weights @ w) * (inputs @ x))``.

        Examples
        --------
        >>> inputs, weights, outputs = FILTERINGS[3].transforms()
        >>> x, w = np.arange(6.0), np.array([1.0, 0.0, -1.0])
        >>> (outputs @ ((weights @ w) * (inputs @ x))).round(6).tolist()
        [-2.0, -2.0, -2.0, -2.0]
        """
        finite = np.array(self.points)
        inputs, weights = np.zeros((self.read, self.read)), np.zeros((self.read, self.taps))
        outputs = np.zeros((self.out, self.read))
        for place, point in enumerate(finite):
            rest = np.delete(finite, place)
            inputs[place, :-1] = np.poly(rest)[::-1]
            weights[place] = point ** np.arange(self.taps) / np.prod(point - rest)
            outputs[:, place] = point ** np.arange(self.out)
        inputs[-1], weights[-1, -1], outputs[-1, -1] = np.poly(finite)[::-1], 1, 1  # infinity: the leading coefficients
        return inputs, weights, outputs

    def tiling(self, maps: Tensor, padding: tuple[int, ...]) -> "Tiling":
        """Return how the map is cut that is made of maps (N, C, h, w) with so many zeros around them (vertical, horizontal)."""
        height, width = (side + 2 * zeros - self.taps + 1 for side, zeros in zip(maps.shape[-2:], padding, strict=True))
        return self.tiling_of(height, width)

    def tiling_of(self, height: int, width: int) -> "Tiling":
        """Return how a map of a size is cut."""
        return Tiling(height, width, -(-height // self.out), -(-width // self.out))

    @property
    def growth(self) -> Fraction:
        """How many numbers are kept for each weight."""
        return Fraction(self.read**2, self.taps**2)

    def tile_bytes(self, read: int, made: int) -> int:
        """Return the bytes of a tile's values, or of its products, whichever are more, for channels on both sides."""
        return 4 * self.read**2 * max(read, made)

    def block_bytes(self, read: int, made: int, tiling: "Tiling") -> int:
        """Return the bytes that a block and moving weights take beside maps and weights, for channels on both sides."""
        values, products = self.read**2 * read, self.read**2 * made
        a_tile = 4 * max(2 * values, values + products + self.out**2 * made)
        moving = 2 * 8 * AT_ONCE * read * (self.taps**2 + self.read**2)
        return a_tile * tiling.largest_block(self.tile_bytes(read, made)) + moving

    def convolved(
        self, maps: Tensor, padding: tuple[int, ...], tiling: "Tiling", made: int, fill: Callable[[Tensor, Tensor], None]
    ) -> Tensor:
        """Return maps (N, C', h', w') of maps (N, C, h, w).

        Parameters
        ----------
        maps, padding, tiling
            See :meth:`tiling`.
        made
            Channels C'.
        fill
            Computes tiles (N, rows, out, columns, out, C') of images (N, H, W, C), zeros around them included.
        """
        height, width, rows, columns = tiling
        behind = rows * self.out - height, columns * self.out - width
        around = (0, 0, padding[1], padding[1] + behind[1], padding[0], padding[0] + behind[0])
        images = F.pad(maps.permute(0, 2, 3, 1), around).contiguous()  # (N, H, W, C)
        found = images.new_empty(len(images), rows, self.out, columns, self.out, made)
        fill(images, found)
        whole = found.view(len(images), rows * self.out, columns * self.out, made)
        return whole[:, :height, :width].permute(0, 3, 1, 2)


FILTERINGS = {
    3: Filtering(3, 4, (0, 5 / 8, -5 / 8, 3 / 2, -3 / 2)),
    7: Filtering(7, 2, (0, 1 / 2, -1 / 2, 1, -1, 2, -2)),
}
"""By the weights in a direction."""


def filtering_of(convolution: "nn.Conv2d | WinogradConv2d") -> Filtering | None:
    """Return what a convolution in float32 gains by: square weights of a known size, stride 1, many channels on both sides."""
    made, read, height, width = convolution.weight.shape
    plain = tuple(convolution.stride) == tuple(convolution.dilation) == (1, 1) and convolution.groups == 1
    return FILTERINGS.get(height) if plain and height == width and min(made, read) >= LEAST_CHANNELS else None


def kept_bytes(module: nn.Module) -> int:
    """Return the bytes that packed and moved weights of a module's convolutions take in float32, beside their own."""
    convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    found = [(part.weight.numel(), filtering_of(part)) for part in convolutions]
    return int(sum(4 * numbers * (filtering.growth if filtering else 1) for numbers, filtering in found))


class Tiling(NamedTuple):
    """How a map is cut: its size, and the rows and columns of its tiles."""

    height: int
    width: int
    rows: int
    columns: int

    @property
    def pays(self) -> bool:
        """Whether there are enough tiles."""
        return self.rows * self.columns >= LEAST_TILES

    def blocks(self, bytes_of_tile: int) -> list[slice]:
        """Return rows of tiles to compute at a time, as equal as can be."""
        count = self._count(bytes_of_tile)
        ends = [self.rows * place // count for place in range(count + 1)]
        return [slice(*pair) for pair in itertools.pairwise(ends)]

    def largest_block(self, bytes_of_tile: int) -> int:
        """Return the tiles of the largest block."""
        return -(-self.rows // self._count(bytes_of_tile)) * self.columns

    def _count(self, bytes_of_tile: int) -> int:
        most = max(BLOCK / bytes_of_tile, BLOCK_TILES)
        return min(math.ceil(self.rows * self.columns / most), self.rows)


class Moved:
    """A convolution whose weights have been taken to the places of a filtering, and the ReLU behind it where there is one.

    Parameters
    ----------
    filtering
        For the weights' size.
    weight
        Float32 (C', C, taps, taps).
    bias
        Float32 (C',), or none.
    relu
        Whether negative outputs become zero.
    room
        Float32, where the moved weights are put; their number is that of the weights, ``filtering.growth`` times. By default they
        get memory of their own.
    """

    def __init__(self, filtering: Filtering, weight: Tensor, bias: Tensor | None, relu: bool, room: Tensor | None = None) -> None:
        inputs, weights, outputs = filtering.transforms()
        basis = torch.from_numpy(np.kron(weights, weights)).to(weight.device)
        self.filtering, (self.made, self.read) = filtering, weight.shape[:2]
        self.places = filtering.read**2
        shape = self.places, self.made, self.read
        self.weights = weight.new_empty(shape) if room is None else room.view(shape)
        for first in range(0, self.made, AT_ONCE):  # float64 takes twice the memory
            some = slice(first, first + AT_ONCE)
            moved = basis @ weight[some].reshape(-1, filtering.taps**2).double().T
            self.weights[:, some] = moved.view(self.places, -1, self.read)
        self._inputs = torch.from_numpy(np.kron(inputs, inputs)).to(weight)
        self._outputs = torch.from_numpy(np.kron(outputs, outputs)).to(weight)
        self.bias, self.relu = bias, relu

    def __call__(self, maps: Tensor, padding: tuple[int, ...], tiling: Tiling) -> Tensor:
        """Return maps (N, C', h', w') of maps (N, C, h, w) with so many zeros around them (vertical, horizontal)."""
        return self.filtering.convolved(maps, padding, tiling, self.made, lambda images, found: self.fill(images, found, tiling))

    def fill(self, images: Tensor, found: Tensor, tiling: Tiling) -> None:
        """Compute tiles ``found`` (N, rows, out, columns, out, C') of images (N, H, W, C), zeros around them included."""
        for image, made in zip(images, found, strict=True):
            for block in tiling.blocks(self.filtering.tile_bytes(self.read, self.made)):
                self._rows(image[block.start * self.filtering.out :], made[block])

    def _rows(self, image: Tensor, found: Tensor) -> None:
        """Compute rows of tiles ``found`` (rows, out, columns, out, C') of an image (H, W, C) that begins where they read."""
        rows, out, columns, _, _ = found.shape
        line, side = image.stride(0), self.filtering.read
        shape, strides = (side, side, rows, columns, self.read), (line, self.read, out * line, out * self.read, 1)
        tiles = image.as_strided(shape, strides, image.storage_offset())
        values = (self._inputs @ tiles.reshape(self.places, -1)).view(self.places, -1, self.read)
        products = torch.bmm(values, self.weights.transpose(1, 2))
        outputs = (self._outputs @ products.view(self.places, -1)).view(out, out, rows, columns, self.made)
        if self.bias is None:
            found.copy_(outputs.permute(2, 0, 3, 1, 4))
        else:
            torch.add(outputs.permute(2, 0, 3, 1, 4), self.bias, out=found)
        if self.relu:
            found.relu_()


class WinogradConv2d(PackedConv2d):
    """A packed convolution that is computed by minimal filtering where that gains; its weights then take more memory."""

    _moved: Moved | None = None

    @property
    def filtering(self) -> Filtering | None:
        """What it gains by; ``None`` where it does not."""
        return filtering_of(self) if self.activation in ("none", "relu") and self.dtype == torch.float32 else None

    @property
    def work(self) -> int:
        """Multiplications for one place of a map that is not small."""
        found = self.filtering
        return super().work * found.read**2 // (found.out * found.taps) ** 2 if found else super().work

    def padded(self, maps: Tensor, padding: tuple[int, ...]) -> Tensor:
        """Return maps with so many zeros around the input; see :class:`fullconv.nn.bordered.Convolution`."""
        found = self.filtering
        if found is None or not (tiling := found.tiling(maps, padding)).pays:
            return super().padded(maps, padding)
        if self._moved is None:
            self._moved = Moved(found, self.weight, self.bias, self.activation == "relu")
        return self._moved(maps.float(), padding, tiling)
