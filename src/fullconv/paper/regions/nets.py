"""Two ways to segment by classifying region proposals, after those of the systems that led before the paper.

Boxes, as in R-CNN (Girshick, Donahue, Darrell, Malik, CVPR 2014): the box round each region is warped to one size, a network
gives its features, a linear classifier its class; regions are pasted by score. Regions, as in SDS (Hariharan, Arbelaez,
Girshick, Malik, ECCV 2014): the features of the box are joined with those of the region alone, all outside it in the mean
colour; and the shape of a region is refined on a 10×10 grid, then taken back to the finest segments.

Neither is that system: both read the features of a trained FCN's own trunk, averaged over the box, where the papers fine-tune a
network on boxes by their overlap with objects, mine hard negatives for SVMs and regress boxes; their refinement has one model a
class, here one logistic regression refines all. What is the same is how often the network runs: once for every region.

Letters: N regions, K classes, C channels, H W image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fullconv.nn.fcn import FCN
from fullconv.paper.regions.proposals import Proposals

GRID = 10
"""Rows and columns that a region's shape is refined on."""
TOGETHER = 32
"""Boxes that go through the network at once."""
MAJORITY = 0.5
"""Share of a finest segment that a refined region must cover to have it."""
NONE = -1
"""The label of a region that no class covers enough of."""


@torch.inference_mode()
def features(model: FCN, image: NDArray[np.uint8], proposals: Proposals, side: int, *, masked: bool) -> NDArray[np.float32]:
    """Return the features float32 (N, C) of every region: the trunk's coarsest map of its box, averaged.

    Parameters
    ----------
    model
        In evaluation mode, of one stream ``rgb``.
    image
        uint8 (H, W, 3).
    side
        Of the square that a box is warped to, in pixels.
    masked
        Put the mean colour in place of what is outside the region.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float()
    mean = torch.tensor(model.padding_colors["rgb"]).view(3, 1, 1)
    device = next(model.parameters()).device
    found = []
    for start in range(0, len(proposals), TOGETHER):
        crops = [crop(pixels, proposals, region, side, mean if masked else None) for region in _chunk(proposals, start)]
        maps = model.trunks["rgb"](model.fit(model.normalise["rgb"](torch.stack(crops).to(device))))
        found.append(maps[0].mean((2, 3)).cpu())
    return torch.cat(found).numpy()


def _chunk(proposals: Proposals, start: int) -> range:
    return range(start, min(start + TOGETHER, len(proposals)))


def crop(pixels: Tensor, proposals: Proposals, region: int, side: int, outside: Tensor | None) -> Tensor:
    """Return the box of a region, (3, side, side), of pixels float (3, H, W); ``outside`` (3, 1, 1) hides all but the region."""
    top, left, bottom, right = proposals.box(region)
    part = pixels[:, top:bottom, left:right]
    if outside is not None:
        inside = torch.from_numpy(proposals.mask(region)[top:bottom, left:right])
        part = torch.where(inside, part, outside)
    return F.interpolate(part[None], (side, side), mode="bilinear", antialias=True)[0]


def region_labels(proposals: Proposals, truth: NDArray[np.uint8], classes: int, share: float) -> NDArray[np.int64]:
    """Return the class int64 (N,) that covers at least ``share`` of each region's known pixels, :data:`NONE` where none does.

    Parameters
    ----------
    truth
        uint8 (H, W); values from ``classes`` on are not known.
    share
        From a half to 1.
    """
    segments = len(proposals.members[0])
    known = truth < classes
    counts = np.bincount(proposals.segments[known] * classes + truth[known], minlength=segments * classes)
    of_regions = proposals.members.astype(np.int64) @ counts.reshape(segments, classes)
    best = of_regions.argmax(1)
    covered = of_regions.max(1) >= np.maximum(share * of_regions.sum(1), 1)
    return np.where(covered, best, NONE)


@dataclass(frozen=True)
class Linear:
    """A logistic regression: weight float32 (C, K), bias (K,), and the mean and deviation (C,) of what it was trained on."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    deviation: Tensor

    def logits(self, inputs: NDArray[np.float32]) -> Tensor:
        """Return float (N, K) for inputs float32 (N, C)."""
        return (torch.from_numpy(inputs) - self.mean) / self.deviation @ self.weight + self.bias


def fit_linear(inputs: NDArray[np.float32], targets: Tensor, outputs: int, *, decay: float, steps: int = 60) -> Linear:
    """Return the logistic regression of ``inputs`` (N, C) on ``targets``, by L-BFGS.

    Parameters
    ----------
    inputs, targets
        int64 (N,): one of ``outputs`` classes each; or float (N, outputs) in 0..1: each output by itself.
    outputs
        K.
    decay
        Of the squared weights, beside the mean loss.
    steps
        Of the optimiser.
    """
    given = torch.from_numpy(inputs)
    mean, deviation = given.mean(0), given.std(0).clamp_min(1e-3)
    standard = (given - mean) / deviation
    weight, bias = (torch.zeros(shape, requires_grad=True) for shape in ((given.shape[1], outputs), (outputs,)))
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=steps, line_search_fn="strong_wolfe")
    loss = F.binary_cross_entropy_with_logits if targets.is_floating_point() else F.cross_entropy

    def step() -> Tensor:
        optimiser.zero_grad()
        total = loss(standard @ weight + bias, targets) + decay * weight.square().sum()
        total.backward()
        return total

    optimiser.step(step)
    return Linear(weight.detach(), bias.detach(), mean, deviation)


def paste(masks: Sequence[NDArray[np.bool_]], scores: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the labels uint8 (H, W): at each pixel the best class of the region that scores highest of those that cover it.

    Parameters
    ----------
    masks
        bool (H, W), N of them.
    scores
        (N, K). What no region covers is class 0.
    """
    labels = np.zeros(size, np.uint8)
    for region in np.argsort(scores.max(1), kind="stable"):
        labels[masks[region]] = scores[region].argmax()
    return labels


def things(probabilities: NDArray[np.floating], *, background: bool) -> tuple[NDArray[np.intp], NDArray[np.floating]]:
    """Return which regions are pasted, and their scores (n, K), from probabilities (N, K + 1) of the classes and of none.

    All are, unless class 0 is a ``background``: then it is what is left, as in the papers, and only regions that are rather
    another class than background or none are pasted.
    """
    scores = probabilities[:, :-1].copy()
    if not background:
        return np.arange(len(scores)), scores
    chosen = np.flatnonzero((probabilities.argmax(1) > 0) & (probabilities.argmax(1) < scores.shape[1]))
    scores[:, 0] = 0
    return chosen, scores[chosen]


def shapes(proposals: Proposals, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32]:
    """Return the share 0..1 of each cell of a 10×10 grid over a region's box that its mask covers, float32 (N, 100)."""
    found = torch.zeros(len(masks), GRID * GRID)
    for region, mask in enumerate(masks):
        top, left, bottom, right = proposals.box(region)
        part = torch.from_numpy(mask[top:bottom, left:right]).float()[None, None]
        found[region] = F.interpolate(part, (GRID, GRID), mode="bilinear", antialias=True).flatten()
    return found.numpy()


def with_class(
    grids: NDArray[np.float32], labels: NDArray[np.int64], classes: int, seen: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what the refinement reads, float32 (N, 100 + K + C): shapes, which class each region has, and features (N, C)."""
    return np.concatenate([grids, np.eye(classes, dtype=np.float32)[labels], seen], 1)


def refine(proposals: Proposals, grids: NDArray[np.floating]) -> list[NDArray[np.bool_]]:
    """Return the regions (H, W) with the shapes that grids (N, 100) of probabilities give them.

    The grid is stretched over the box; a finest segment belongs to the region when its mean over the whole segment, 0 outside the
    box, is at least a half. A region that would vanish stays as it was.
    """
    sizes = np.bincount(proposals.segments.ravel(), minlength=proposals.members.shape[1])
    refined = []
    for region, grid in enumerate(grids):
        top, left, bottom, right = proposals.box(region)
        cells = torch.from_numpy(np.asarray(grid, np.float32)).view(1, 1, GRID, GRID)
        inside = F.interpolate(cells, (bottom - top, right - left), mode="bilinear")[0, 0].numpy()
        under = proposals.segments[top:bottom, left:right]
        share = np.bincount(under.ravel(), inside.ravel(), minlength=len(sizes)) / sizes
        member = share >= MAJORITY
        refined.append((member if member.any() else proposals.members[region])[proposals.segments])
    return refined
