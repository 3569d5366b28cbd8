"""Dense output without upsampling against deconvolution: shift-and-stitch, and its à-trous equal (paper, section 3.2).

One trained FCN-32s is read out in several ways. The paper tried shift-and-stitch, found no gain over upsampling inside the net,
and went on with skips; here is what each way costs and gives when the net itself stays the same.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from fullconv.data.sample import RGB, SEMANTIC, Dataset
from fullconv.data.scenes.scenes import render
from fullconv.drawing import Comparison
from fullconv.evaluation import METRICS
from fullconv.geometry.axis import Place
from fullconv.geometry.trace import trace
from fullconv.metrics import count_pairs, tally, tally_metrics
from fullconv.nn.atrous import atrous
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.nn.shift_and_stitch import defined_region, shift_and_stitch
from fullconv.paper import table2
from fullconv.paper.experiment import Context, describe_data
from fullconv.paper.findings import Claim, Finding, Picture, Row
from fullconv.paper.plots import draw_comparisons
from fullconv.paper.verdicts import Difference, Scores

Read = Callable[[Tensor], Tensor]
"""Image uint8 (1, 3, H, W) to logits (1, K, H, W)."""
FEW = {True: 3, False: 1}
"""Images that shift-and-stitch, with its f² passes, is measured on: of Scenes, and of real data."""
COMPARED = (240, 320)
"""Size at which a scene is drawn to compare the two: scores must fit in whose receptive field is all inside."""
TOLERANCE = 1e-4
DRAWN = 3
MIDDLE = 8
"""Stride of the compromise: filters dilated down to it, bilinear from there."""
SLOW = "shift-and-stitch"
PAIR, WORST = "shift-and-stitch − à trous", "largest difference, millionths of the largest score"


class Scorer(nn.Module):
    """The coarsest scores of a net, from normalised images (N, C, H, W): what is made dense."""

    def __init__(self, model: FCN, head: str = SEMANTIC) -> None:
        super().__init__()
        self.trunk = model.trunks[RGB]
        self.score = model.head(head).score[RGB][0]  # type: ignore[index]  # a ModuleDict of ModuleLists

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (N, K, h, w)."""
        return self.score(self.trunk(images)[0])


@dataclass(frozen=True)
class Measured:
    """What one way gave: the counts of every image that it labelled, and seconds for each.

    Parameters
    ----------
    scores
        Of one net, read out in this way.
    few
        The first images, which every way labels.
    seconds
        For each image.
    """

    scores: Scores
    few: int
    seconds: Sequence[float]

    @property
    def mean_iu(self) -> float:
        """Mean IU in percent over all images."""
        return float(100 * self.scores.values("mean_iu")[0])

    @property
    def mean_iu_of_few(self) -> float:
        """Mean IU in percent over the first few images."""
        return float(100 * tally_metrics(self.scores.tallies[0, : self.few].sum(0))["mean_iu"])


def readings(coarse: FCN, fine: FCN) -> dict[str, Read]:
    """Return every way to read labels for each pixel out of FCN-32s, and FCN-8s beside them."""
    scorer = Scorer(coarse).eval()
    dense = {stride: atrous(scorer, stride) for stride in (1, MIDDLE)}
    return {
        "deconvolution, FCN-32s": lambda image: coarse(image)[SEMANTIC],
        f"à trous to stride {MIDDLE}, then bilinear": lambda image: read_dense(coarse, dense[MIDDLE], MIDDLE, image),
        "à trous to stride 1": lambda image: read_dense(coarse, dense[1], 1, image),
        SLOW: lambda image: read_dense(coarse, lambda x: shift_and_stitch(scorer, x), 1, image),
        "skips, FCN-8s": lambda image: fine(image)[SEMANTIC],
    }


def read_dense(model: FCN, dense: Callable[[Tensor], Tensor], stride: int, image: Tensor) -> Tensor:
    """Return logits (1, K, H, W) at the pixels of ``image``, linear between the scores of ``dense``.

    Parameters
    ----------
    model
        Whose images' normalisation and coordinate maps count.
    dense
        Normalised images to scores at every ``stride``-th pixel, at the offset of the model's coarsest map.
    stride
        In pixels.
    image
        uint8 (1, 3, H, W).
    """
    margin = model.strides[0]  # so that there are scores on both sides of every pixel
    maps = dense(F.pad(model.normalise[RGB](image), (margin,) * 4))
    place = trace(Scorer(model)).place(-1)
    assert place is not None  # a trunk's maps have one
    offset = Place(Fraction(stride), place.offset - margin)
    for axis in (2, 3):
        maps = _at_pixels(maps, axis, offset, image.shape[axis])
    return maps


def _at_pixels(maps: Tensor, axis: int, place: Place, side: int) -> Tensor:
    """Return ``maps``, which lie at ``place`` along an axis, at the pixels 0 … side - 1, linear in between."""
    at = ((torch.arange(side) - float(place.offset)) / float(place.stride)).clamp(0, maps.shape[axis] - 1)
    below = at.floor().long().clamp(max=max(maps.shape[axis] - 2, 0))
    weight = (at - below).to(maps.dtype)
    weight = weight[:, None] if axis == 2 else weight
    above = (below + 1).clamp(max=maps.shape[axis] - 1)
    return maps.index_select(axis, below) * (1 - weight) + maps.index_select(axis, above) * weight


plan = table2.staged
"""The nets that are read out: FCN-32s and FCN-8s of T2, trained in stages."""


def run(context: Context) -> Finding:
    """Return score and time of every way, and how far shift-and-stitch and à trous differ where both are defined."""
    training = plan(context, 0)[table2.STAGED]
    folder = context.train(training).out
    coarse, fine = (load_checkpoint(folder / f"stage-{stage}" / "model.safetensors").model.eval() for stage in ("32s", "8s"))
    dataset = context.validation(training.recipe)
    few = FEW[context.on_scenes]
    ways = readings(coarse, fine)
    context.say(f"reading {len(dataset)} images in {len(ways)} ways")
    found = {name: measure(read, dataset, few if name == SLOW else len(dataset), few) for name, read in ways.items()}
    picture = _draw(context, ways, dataset)
    rows = _rows(found, describe_data(dataset), few)
    rows.append(_difference(context, coarse, dataset))
    return Finding(tuple(rows), _claims(found, rows[-1]), (picture,), (NOTE,))


NOTE = (
    "The weights are those that were trained with the fixed deconvolution; no way of reading them got training of its own. Near "
    "the border, where scores read padding, shift-and-stitch and à trous differ, which is why their scores can."
)


def measure(read: Read, dataset: Dataset, count: int, few: int) -> Measured:
    """Return how well and how fast a way labels the first ``count`` images, and how well the first ``few``."""
    labels = dataset.labels[SEMANTIC]
    tallies, names, seconds = [], [], []
    for index in range(count):
        sample = dataset[index]
        image = sample.inputs[RGB][None].as_subclass(Tensor)
        start = time.perf_counter()
        with torch.inference_mode():
            found = read(image)[0].argmax(0).numpy()
        seconds.append(time.perf_counter() - start)
        tallies.append(tally(count_pairs(sample.targets[SEMANTIC].numpy(), found, len(labels), labels.ignore_index)[0]))
        names.append(sample.name)
    return Measured(Scores(np.stack(tallies)[None], tuple(names)), few, seconds)


def _rows(found: Mapping[str, Measured], data: str, few: int) -> list[Row]:
    rows = []
    for name, way in found.items():
        protocol = "read out, not trained" if name != "skips, FCN-8s" else "trained further, with skips"
        if name != SLOW:
            rows.append(Row(name, METRICS["mean_iu"], (way.mean_iu,), data, protocol))
        rows.append(Row(name, METRICS["mean_iu"], (way.mean_iu_of_few,), f"the first {few} of them", protocol))
        time_of = statistics.median(way.seconds)
        rows.append(Row(name, "an image, ms", (1000 * time_of,), "median", protocol, sum(way.seconds)))
    return rows


def _difference(context: Context, model: FCN, dataset: Dataset) -> Row:
    """Return how far the two differ, at most, where neither reads padding."""
    if context.on_scenes:
        image = torch.from_numpy(render(0, "val", 0, COMPARED).image.transpose(2, 0, 1).copy())
    else:
        image = dataset[0].inputs[RGB].as_subclass(Tensor)
    scorer = Scorer(model).eval()
    with torch.inference_mode():
        pixels = model.normalise[RGB](image[None])
        size: tuple[int, int] = tuple(pixels.shape[-2:])
        rows, columns = defined_region(scorer, size)
        stitched, dense = shift_and_stitch(scorer, pixels), atrous(scorer)(pixels)
    if rows is None or columns is None:
        return Row(PAIR, WORST, (), f"{size[0]}×{size[1]} px", "", needs="an image larger than what a score sees")
    inside = (..., slice(rows[0], rows[1] + 1), slice(columns[0], columns[1] + 1))
    worst = (stitched[inside] - dense[inside]).abs().max() / dense[inside].abs().max()
    defined = f"{rows[1] - rows[0] + 1}×{columns[1] - columns[0] + 1} scores of {size[0]}×{size[1]} px"
    return Row(PAIR, WORST, (1e6 * worst.item(),), defined, "where both are defined")


def _claims(found: Mapping[str, Measured], difference: Row) -> tuple[Claim, ...]:
    seconds = {name: statistics.median(way.seconds) for name, way in found.items()}
    upsampled, dense, stitched, skips = (
        name for name in ("deconvolution, FCN-32s", "à trous to stride 1", SLOW, "skips, FCN-8s")
    )
    gain = Difference.of([found[skips].scores], [found[dense].scores])
    return (
        Claim(
            "shift-and-stitch equals à trous where both are defined",
            bool(difference.measured) and difference.mean <= 1e6 * TOLERANCE,
            f"{difference.mean:.2g} millionths of the largest score, allowed are {1e6 * TOLERANCE:.0f}",
        ),
        Claim(
            "upsampling inside the net is cheaper than both",
            seconds[upsampled] < min(seconds[dense], seconds[stitched]),
            f"à trous takes {seconds[dense] / seconds[upsampled]:.0f} times as long, shift-and-stitch "
            f"{seconds[stitched] / seconds[upsampled]:.0f} times",
        ),
        Claim("skips give more than dense scores of the coarse net", gain.better, str(gain)),
    )


def _draw(context: Context, ways: Mapping[str, Read], dataset: Dataset) -> Picture:
    rows: list[Comparison] = []
    for index in range(DRAWN):
        sample = dataset[index]
        image = sample.inputs[RGB]
        found: dict[str, NDArray[np.integer]] = {}
        for name, read in ways.items():
            if name == SLOW:  # looks like à trous
                continue
            with torch.inference_mode():
                found[name] = read(image[None].as_subclass(Tensor))[0].argmax(0).numpy()
        rows.append((image.numpy().transpose(1, 2, 0), sample.targets[SEMANTIC].numpy(), found))
    path = context.folder / "ways.png"
    draw_comparisons(path, rows, dataset.labels[SEMANTIC])
    return Picture(path.name, "The same net read out in each way (shift-and-stitch looks like à trous), and FCN-8s.")
