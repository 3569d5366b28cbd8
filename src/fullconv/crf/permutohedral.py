"""Gaussian filters of many dimensions on the permutohedral lattice: Adams, Baek, Davis, Eurographics 2010.

Features live in d dimensions, here position and colour (d = 5). Every feature lies in a simplex of d + 1 lattice points and
gives them its value by barycentric weights (splat); the points average with their neighbours along d + 1 directions (blur);
every feature reads back from the points of its simplex by the same weights (slice). The cost is linear in features and points.
The lattice depends on the features only: it is built once for an image and then filters any number of values.

As in the authors' implementation only points near a feature exist, and the others count as 0 in the blur. Where theirs has
a hash table, here the points are a sorted table of packed integer keys, so that everything runs as operations on arrays.

Letters: N features, d their dimensions, M lattice points, K values of a feature.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from fullconv.errors import SpecError


class Permutohedral:
    """A filter that sums values over all features with about the weight exp(-|f_i - f_j|² / 2), up to a common factor.

    How near it comes stands in ``tests/inference/test_permutohedral.py``: averages of values in 0..1 over the features of
    photographs are off by 0.01 to 0.02 on average.

    Parameters
    ----------
    features
        Float (N, d), N ≥ 1, in units of the filter's standard deviation.

    Raises
    ------
    SpecError
        When the features spread so far that lattice points cannot be numbered in 63 bits.

    Examples
    --------
    >>> lattice = Permutohedral(torch.tensor([[0.0, 0.0], [0.0, 0.0], [9.0, 9.0]]))
    >>> sums = lattice(torch.tensor([[1.0], [2.0], [4.0]]))
    >>> sums / lattice(torch.ones(3, 1))
    tensor([[1.5000],
            [1.5000],
            [4.0000]])
    """

    def __init__(self, features: Tensor) -> None:
        base, rank, self._weights = _simplices(features.double())
        d = features.shape[1]
        steps, lowest = _numbering(base)
        corners = torch.stack([((base + _corner(k, rank) - lowest)[:, :d] * steps).sum(1) for k in range(d + 1)], 1)
        keys, places = corners.unique(return_inverse=True)
        self._places = places.int()
        order = places.flatten().argsort(dim=0, stable=True)
        self._sources = (order // (d + 1)).int()
        self._shares = self._weights.flatten()[order]
        # one bag more than there are points stays empty: the row of zeros that stands for points that do not exist
        counts = places.flatten().bincount(minlength=len(keys) + 1)
        self._starts = (counts.cumsum(0) - counts).int()
        self._neighbours = [(_find(keys, keys + along), _find(keys, keys - along)) for along in _directions(steps)]

    def __call__(self, values: Tensor) -> Tensor:
        """Return the sums, float32 (N, K), of values float32 (N, K)."""
        table = embedding_bag(self._sources, values, self._starts, mode="sum", per_sample_weights=self._shares)
        for before, after in self._neighbours:
            blurred = table / 2
            blurred[:-1] += (table[before] + table[after]) / 4
            table = blurred
        return embedding_bag(self._places, table, mode="sum", per_sample_weights=self._weights)


def _simplices(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the simplex round each feature as its corner of remainder 0, the ranks that give the others, and weights.

    All are (N, d + 1): int64 coordinates in the hyperplane of sum 0, int64 ranks, float32 barycentric weights of the corners.
    """
    d = features.shape[1]
    index = torch.arange(d, dtype=features.dtype)
    # orthogonal axes of the hyperplane; blurring by (1/4, 1/2, 1/4) along each direction, splat and slice have variance 1
    axes = torch.ones(d + 1, d, dtype=features.dtype).triu()
    axes.diagonal(-1).copy_(-(index + 1))
    axes *= math.sqrt(2 / 3) * (d + 1) / ((index + 1) * (index + 2)).sqrt()
    elevated = features @ axes.T

    base = (elevated / (d + 1)).round().long() * (d + 1)
    rank = (elevated - base).argsort(dim=1, descending=True, stable=True).argsort(1)
    rank += base.sum(1, keepdim=True) // (d + 1)
    turn = (d + 1) * ((rank < 0).long() - (rank > d).long())  # back into the hyperplane
    base, rank = base + turn, rank + turn

    rest = ((elevated - base) / (d + 1)).gather(1, rank.argsort(1))  # from the largest on
    first = 1 + rest[:, -1:] - rest[:, :1]
    return base, rank, torch.cat([first, (rest[:, :-1] - rest[:, 1:]).flip(1)], 1).float()


def _corner(remainder: int, rank: Tensor) -> Tensor:
    """Return how far the corner of a remainder lies from that of remainder 0, (N, d + 1)."""
    size = rank.shape[1]
    return torch.where(rank < size - remainder, remainder, remainder - size)


def _numbering(base: Tensor) -> tuple[Tensor, Tensor]:
    """Return what each of the first d coordinates, above the lowest (1, d + 1), counts in a packed key: int64 (d,)."""
    margin = 2 * base.shape[1]  # a corner and its neighbour
    lowest = base.amin(0, keepdim=True) - margin
    spans = (base.amax(0, keepdim=True) + margin - lowest + 1)[0, :-1].tolist()
    steps = [math.prod(spans[k + 1 :]) for k in range(len(spans))]
    if math.prod(spans) >= 2**63:
        raise SpecError("the filter is too narrow for so large an image or so many colours; choose wider positions or colours")
    return torch.tensor(steps), lowest


def _directions(steps: Tensor) -> list[int]:
    """Return what packed keys change by along each of the d + 1 directions: d in one coordinate, -1 in all others."""
    d, ones = len(steps), int(steps.sum())
    return [(d + 1) * int(step) - ones for step in steps] + [-ones]


def _find(keys: Tensor, wanted: Tensor) -> Tensor:
    """Return the places of ``wanted`` in the sorted ``keys``, the number of keys for those that are not there."""
    places = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
    return torch.where(keys[places] == wanted, places, len(keys))
