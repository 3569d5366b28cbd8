"""The proof that a dense scorer computes what the classifier computes, by running both.

Two comparisons, in the precision of the nets:

*Native.* Both nets on images of the native size.

*Slid.* The dense net once on a larger image, against the classifier applied window by window at shifts of the total stride.
Without padding in the net the windows are cut out as they are. With padding a window cut out would see zeros where the
larger image has pixels, so the two are not the same function; what is the same is the classifier that sees its window's
true surroundings: its features are computed on the window plus a margin (from the geometry: as wide as any feature of the
window can see), the window's own features are cut out, and the classifier's own pooling and dense layers follow.
With layers that seeing the whole image inside the features (squeeze-and-excitation) a slid window is not defined at all.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fullconv.geometry.graph import Geometry
from fullconv.geometry.trace import from_graph
from fullconv.nn.convolutionalize import DenseClassifier
from fullconv.nn.surgery import split

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Proof:
    """What was compared and how far the two nets differ.

    Parameters
    ----------
    native
        Largest difference of two logits at the native size, divided by the largest logit.
    slid
        The same over all windows of a larger image; ``None`` when that is not defined or was too large to run.
    compared
        What was compared, in words.
    tolerance
        Both must not exceed it: 1e-4 in float32.
    """

    native: float
    slid: float | None
    compared: str
    tolerance: float = TOLERANCE

    @property
    def holds(self) -> bool:
        """Whether every comparison that was made stays within the tolerance."""
        return self.native <= self.tolerance and (self.slid is None or self.slid <= self.tolerance)

    def __str__(self) -> str:
        slid = "not compared" if self.slid is None else f"{self.slid:.1e}"
        verdict = "equal" if self.holds else "NOT EQUAL"
        return f"{verdict}: native {self.native:.1e}, slid {slid} (tolerance {self.tolerance:.0e}; {self.compared})"


def prove(dense: DenseClassifier, classifier: nn.Module, *, seed: int = 0, side_limit: int = 1024) -> Proof:
    """Return the differences between ``dense`` and ``classifier`` on seeded noise images.

    Parameters
    ----------
    dense, classifier
        The two nets, in eval mode, on one device, of one dtype.
    seed
        Of the images (standard normal).
    side_limit
        The slid comparison is left out, and the proof says so, when it needs an image side of more pixels than this.

    Examples
    --------
    >>> from fullconv.nn.convolutionalize import convolutionalize
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()
    >>> proof = prove(convolutionalize(net, (9, 9)), net)
    >>> proof.holds, proof.compared
    (True, '9 windows 9×9 every 2×2 px of an image 13×13, as they are')
    """
    features, head = split(classifier, dense.features_end)
    weight = next(p for p in dense.parameters() if p.ndim == 4)
    draw = torch.Generator().manual_seed(seed)

    def noise(images: int, height: int, width: int) -> Tensor:
        return torch.randn(images, dense.channels, height, width, generator=draw, dtype=torch.float64).to(weight)

    with torch.inference_mode():
        images = noise(2, *dense.native_size)  # two, for classifiers that squeeze the axis of a single image away
        native = _difference(dense(images), classifier(images))
        geometry = from_graph(features.graph, features)
        if geometry.is_global[-1]:
            found = geometry.global_layers[:2]
            return Proof(native, None, f"sliding is not defined: {', '.join(found)} seeing the whole image")
        axes = [_margin(geometry, dense.native_size, axis) for axis in (0, 1)]
        sides = [n + 2 * (margin + 1) * stride for n, (stride, margin) in zip(dense.native_size, axes, strict=True)]
        if max(sides) > side_limit:
            return Proof(native, None, f"sliding needs {max(sides)} px, more than side_limit {side_limit}")
        slid = _slide(dense, features, head, noise(1, *sides), axes)
    (down, above), (across, beside) = axes
    around = f"with {above * down}×{beside * across} px of their surroundings in place of zero padding"
    seen = around if above or beside else "as they are"
    height, width = dense.native_size
    return Proof(native, slid, f"9 windows {height}×{width} every {down}×{across} px of an image {sides[0]}×{sides[1]}, {seen}")


def _difference(found: Tensor, truth: Tensor) -> float:
    return ((found.flatten() - truth.flatten()).abs().max() / truth.abs().max()).item()


def _margin(geometry: Geometry, native: tuple[int, int], axis: int) -> tuple[int, int]:
    """Return the stride along an axis, and how many cells of surroundings a window needs so that none of it sees padding."""
    place = geometry.place(-1, axis)
    assert place is not None  # features that see the whole image were answered before
    stride = int(place.stride)
    cells = geometry.sizes(native)[-1][axis]
    first, last = geometry.depends_on(-1, (0, 0), axis), geometry.depends_on(-1, (cells - 1, cells - 1), axis)
    assert first is not None  # a window always reads something
    assert last is not None
    margin = max(math.ceil(-first[0] / stride), math.ceil((last[1] - native[axis] + 1) / stride))
    return stride, max(margin, 0)


def _slide(dense: DenseClassifier, features: nn.Module, head: nn.Module, image: Tensor, axes: list[tuple[int, int]]) -> float:
    """Return the largest difference over 3×3 windows."""
    (down, above), (across, beside) = axes
    scores = dense(image)[:, :, above : above + 3, beside : beside + 3]
    height, width = (n + 2 * margin * stride for n, (stride, margin) in zip(dense.native_size, axes, strict=True))
    rows, columns = features(image[:, :, : dense.native_size[0], : dense.native_size[1]]).shape[2:]
    windows = [
        features(image[:, :, y * down : y * down + height, x * across : x * across + width]) for y in range(3) for x in range(3)
    ]
    truth = head(torch.cat(windows)[:, :, above : above + rows, beside : beside + columns].contiguous())
    return _difference(scores[0].flatten(1).T, truth)
