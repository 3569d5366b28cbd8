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
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn

from fullconv.geometry.graph import Geometry
from fullconv.geometry.trace import Tracer, from_graph, node_names

if TYPE_CHECKING:
    from fullconv.nn.convolutionalize import DenseClassifier

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


def prove(dense: "DenseClassifier", classifier: nn.Module, *, seed: int = 0, side_limit: int = 1024) -> Proof:
    """Return the differences between ``dense`` and ``classifier`` on seeded noise images.

    Parameters
    ----------
    dense, classifier
        The two nets, in eval mode, on one device, of one dtype.
    seed
        Of the images (standard normal, C channels as the first convolution takes).
    side_limit
        The slid comparison is left out, and the proof says so, when it needs an image side of more pixels than this.
    """
    features, head = split(classifier, dense.features_end)
    weight = next(p for p in dense.parameters() if p.ndim == 4)
    channels = next(m.in_channels for m in dense.modules() if isinstance(m, nn.Conv2d))
    draw = torch.Generator().manual_seed(seed)

    def noise(height: int, width: int) -> Tensor:
        return torch.randn(1, channels, height, width, generator=draw, dtype=torch.float64).to(weight)

    height, width = dense.native_size
    with torch.inference_mode():
        images = noise(height, width)
        truth = classifier(images)
        native = _difference(dense(images)[:, :, 0, 0], truth)
        geometry = from_graph(features.graph, features)
        if geometry.is_global[-1]:
            found = geometry.global_layers[:2]
            return Proof(native, None, f"sliding is not defined: {', '.join(found)} seeing the whole image")
        stride, margin = _margin(geometry, dense.native_size)
        sides = [n + 2 * margin * stride + 2 * stride for n in dense.native_size]
        if max(sides) > side_limit:
            return Proof(native, None, f"sliding needs {max(sides)} px, more than side_limit {side_limit}")
        slid, windows = _slide(dense, features, head, noise(*sides), stride, margin)
    seen = "as they are" if margin == 0 else f"with {margin * stride} px of their surroundings in place of zero padding"
    return Proof(native, slid, f"{windows} windows {height}×{width} every {stride} px of an image {sides[0]}×{sides[1]}, {seen}")


def split(classifier: nn.Module, features_end: str) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Return a classifier in two parts that share its weights: image → features, and features → logits."""
    features, head = (fx.GraphModule(classifier, Tracer().trace(classifier)) for _ in range(2))
    for part in (features, head):
        end = next(node for node, name in node_names(part.graph).items() if name == features_end)
        if part is features:
            next(n for n in part.graph.nodes if n.op == "output").args = (end,)
        else:
            with part.graph.inserting_after(end):
                entry = part.graph.placeholder("features")
            end.replace_all_uses_with(entry)
        keep_needed(part)
    return features.train(classifier.training), head.train(classifier.training)


def keep_needed(part: fx.GraphModule) -> None:
    """Erase every node that the output does not need (fx itself keeps dropout, which it holds to have side effects)."""
    nodes = list(part.graph.nodes)
    needed = set(nodes[-1].all_input_nodes)
    for node in reversed(nodes[:-1]):
        if node in needed:
            needed.update(node.all_input_nodes)
        else:
            part.graph.erase_node(node)
    part.graph.lint()
    part.recompile()


def _difference(found: Tensor, truth: Tensor) -> float:
    return ((found - truth).abs().max() / truth.abs().max()).item()


def _margin(geometry: Geometry, native: tuple[int, int]) -> tuple[int, int]:
    """Return the total stride and how many cells of surroundings a window needs so that none of its cells sees padding."""
    margin = 0
    place = geometry.place(-1)
    assert place is not None  # features that seeing the whole image were answered before
    stride = int(place.stride)
    for axis in (0, 1):
        cells = geometry.sizes(native)[-1][axis]
        first, last = geometry.depends_on(-1, (0, 0), axis), geometry.depends_on(-1, (cells - 1, cells - 1), axis)
        assert first is not None  # a window always reads something
        assert last is not None
        margin = max(margin, math.ceil(-first[0] / stride), math.ceil((last[1] - native[axis] + 1) / stride))
    return stride, max(margin, 0)


def _slide(
    dense: "DenseClassifier", features: nn.Module, head: nn.Module, image: Tensor, stride: int, margin: int
) -> tuple[float, int]:
    """Return the largest difference over 3×3 windows, and how many were compared."""
    scores = dense(image)
    height, width = (n + 2 * margin * stride for n in dense.native_size)
    rows, columns = features(image[:, :, : dense.native_size[0], : dense.native_size[1]]).shape[2:]
    worst = 0.0
    for y in range(3):
        for x in range(3):
            window = image[:, :, y * stride : y * stride + height, x * stride : x * stride + width]
            cells = features(window)
            truth = head(cells[:, :, margin : margin + rows, margin : margin + columns])
            worst = max(worst, _difference(scores[:, :, y + margin, x + margin], truth))
    return worst, 9
