"""A fully connected CRF sharpens what a net sees: Krähenbühl and Koltun, NIPS 2011.

Every pixel is tied to every other. Two pixels want the same label the more, the nearer they are (smoothness) and the nearer and
the more alike in colour they are (appearance). The net's probabilities p are what each pixel wants by itself. Mean field finds
probabilities q by repeating, from q = p,

    q = softmax(log p + w₁ A q + w₂ S q)

where A and S sum over all pixels with Gaussian weights, each divided by the square roots of the sums of both pixels' weights
(the symmetric normalisation of the authors' code), and the labels' compatibility is Potts'. As in their code a pixel's own
term stays in the sums. S is computed exactly by two passes over rows and columns; A on the permutohedral lattice.

Letters: K classes, H height, W width.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from fullconv.crf.permutohedral import Permutohedral
from fullconv.data.images import picture_of
from fullconv.data.sample import RGB
from fullconv.errors import DataError
from fullconv.labels import LabelSet
from fullconv.spec.base import Spec

Filter = Callable[[Tensor], Tensor]
"""Values float32 (H, W, K) to sums over all pixels of the same shape."""
_REACH = 6  # standard deviations; beyond, exp(-18) is less than float32 can tell from 0 beside 1
_BLOCK = 64


class CRFSpec(Spec):
    """A fully connected CRF: how strong its two ties are, and how far they reach.

    Parameters
    ----------
    appearance_weight
        Of the tie between pixels that are near and alike; in units of log probability.
    appearance_position, appearance_color
        Its standard deviations: in pixels, and in levels of 0..255 of red, green and blue.
    smoothness_weight, smoothness_position
        Of the tie between pixels that are near: its weight, and its standard deviation in pixels.
    iterations
        Of mean field; 0 gives back the net's probabilities.
    """

    appearance_weight: float = Field(default=4.0, ge=0, le=1000)
    appearance_position: float = Field(default=60.0, ge=0.1, le=10000)
    appearance_color: float = Field(default=10.0, ge=0.1, le=10000)
    smoothness_weight: float = Field(default=3.0, ge=0, le=1000)
    smoothness_position: float = Field(default=3.0, ge=0.1, le=10000)
    iterations: int = Field(default=10, ge=0, le=1000)


DEFAULT = CRFSpec()


def refine(probabilities: NDArray[np.float32], image: NDArray[np.uint8], crf: CRFSpec = DEFAULT) -> NDArray[np.float32]:
    """Return the probabilities of each pixel's classes after mean field, float32 (K, H, W), summing to 1.

    Parameters
    ----------
    probabilities
        float32 (K, H, W), 0 to 1, as a net gives them; :attr:`fullconv.inference.predictor.Segmentation.probabilities`.
    image
        The image that they are of, uint8 (H, W, 3) RGB.
    crf
        The settings.

    Raises
    ------
    DataError
        When shapes do not fit, or a probability is negative or no number.
    SpecError
        When the appearance is so narrow that the lattice cannot be numbered.

    Examples
    --------
    >>> image = np.zeros((8, 8, 3), np.uint8)
    >>> image[:, 4:] = 200
    >>> blurred = np.full((2, 8, 8), 0.5, np.float32)
    >>> blurred[:, :, 0], blurred[:, :, 7] = [[0.9], [0.1]], [[0.1], [0.9]]
    >>> refine(blurred, image).argmax(0)[0]  # the outline goes to where the colour changes
    array([0, 0, 0, 0, 1, 1, 1, 1])
    """
    _check(probabilities, image)
    unary = torch.from_numpy(np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).transpose(1, 2, 0).copy())
    filters = [
        (weight, _normalised(make(), unary))
        for weight, make in (
            (crf.appearance_weight, lambda: appearance(image, crf.appearance_position, crf.appearance_color)),
            (crf.smoothness_weight, lambda: smoothness(crf.smoothness_position)),
        )
        if weight and crf.iterations
    ]
    return mean_field(unary, filters, crf.iterations).permute(2, 0, 1).contiguous().numpy()


def mean_field(unary: Tensor, filters: list[tuple[float, Filter]], iterations: int) -> Tensor:
    """Return the probabilities (H, W, K) of mean field with Potts' compatibility.

    Parameters
    ----------
    unary
        Log probabilities (H, W, K), up to a constant in each pixel.
    filters
        Weights and normalised filters.
    iterations
        How often.
    """
    found = unary.softmax(-1)
    for _ in range(iterations):
        energy = unary.clone()
        for weight, apply in filters:
            energy.add_(apply(found), alpha=weight)
        found = energy.softmax(-1)
    return found


def appearance(image: NDArray[np.uint8], position: float, color: float) -> Filter:
    """Return the filter with Gaussian weights of position (standard deviation in pixels) and colour (in levels), about."""
    rows, columns = np.indices(image.shape[:2])
    features = np.concatenate([np.stack([columns, rows], -1) / position, image / color], -1)
    lattice = Permutohedral(torch.from_numpy(features.reshape(-1, 5)))
    return lambda values: lattice(values.flatten(0, 1)).view_as(values)


def smoothness(position: float) -> Filter:
    """Return the filter with Gaussian weights of position alone (standard deviation in pixels), exact to float32."""
    return lambda values: _along(_along(values, position).transpose(0, 1), position).transpose(0, 1)


def _along(values: Tensor, sigma: float) -> Tensor:
    """Return values (L, M, K) filtered along their first axis: blocks of it times a band of the Gaussian's matrix."""
    length, reach = len(values), min(math.ceil(_REACH * sigma), len(values))
    flat = values.reshape(length, -1)
    blocks = []
    for start in range(0, length, _BLOCK):
        low, stop, high = max(start - reach, 0), min(start + _BLOCK, length), min(start + _BLOCK + reach, length)
        distance = torch.arange(start, stop)[:, None] - torch.arange(low, high)
        blocks.append(torch.exp(-((distance / sigma) ** 2) / 2) @ flat[low:high])
    return torch.cat(blocks).view(values.shape)


def _normalised(apply: Filter, like: Tensor) -> Filter:
    """Return the filter divided on both sides by the square root of what it gives for ones."""
    scale = apply(like.new_ones(*like.shape[:2], 1)).clamp_min(torch.finfo(like.dtype).tiny).rsqrt()
    return lambda values: scale * apply(scale * values)


def _check(probabilities: NDArray[np.float32], image: NDArray[np.uint8]) -> None:
    if probabilities.ndim != 3 or 0 in probabilities.shape or probabilities.dtype != np.float32:
        raise DataError(f"probabilities are {_kind(probabilities)}; a CRF refines float32 (K, H, W), K, H, W ≥ 1")
    if image.shape != (*probabilities.shape[1:], 3) or image.dtype != np.uint8:
        height, width = probabilities.shape[1:]
        raise DataError(f"the image is {_kind(image)}; with these probabilities it must be uint8 ({height}, {width}, 3)")
    if not (np.isfinite(probabilities).all() and probabilities.min() >= 0):
        raise DataError("a probability is negative or no number; a CRF refines probabilities from 0 to 1, no logits")


def _kind(array: NDArray[np.generic]) -> str:
    return f"{array.dtype} {array.shape}"


class Segmenter(Protocol):
    """What a CRF can stand behind: :class:`fullconv.inference.predictor.Predictor`, or whatever else gives logits by head."""

    @property
    def labels(self) -> Mapping[str, LabelSet]:
        """The classes of each head."""
        ...

    def head(self, name: str | None) -> str:
        """Return the name of a head: the first when none is given; raise ``SpecError`` for one that there is not."""
        ...

    def logits(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return logits (1, K, H, W) of every head for one image: (C, H, W) by stream."""
        ...


class Refined:
    """A predictor with the CRF behind it, as :func:`fullconv.evaluation.compare` asks for predictions.

    Parameters
    ----------
    predictor, head
        What predicts, and which of its outputs.
    crf
        The settings.

    Attributes
    ----------
    seconds
        That the CRF took, without the net, for each image so far.
    """

    def __init__(self, predictor: Segmenter, head: str, crf: CRFSpec) -> None:
        self.predictor, self.head, self.crf = predictor, head, crf
        self.seconds: list[float] = []

    def __call__(self, inputs: Mapping[str, Tensor]) -> NDArray[np.integer]:
        """Return labels uint8 (H, W) of the streams of one sample, uint8 (C, H, W) each."""
        scores = self.predictor.logits(inputs)[self.head][0].float().softmax(0).cpu().numpy()
        start = time.perf_counter()
        labels = refine(scores, image_of(inputs), self.crf).argmax(0).astype(np.uint8)
        self.seconds.append(time.perf_counter() - start)
        return labels


def image_of(inputs: Mapping[str, Tensor]) -> NDArray[np.uint8]:
    """Return the image, uint8 (H, W, 3) RGB, among the streams of a sample.

    Raises
    ------
    DataError
        When there is none.
    """
    if RGB not in inputs:
        raise DataError(f"the sample has {', '.join(inputs)} but no image in colour; a CRF needs the stream {RGB}")
    return picture_of(inputs[RGB].numpy().transpose(1, 2, 0))
