"""The proof behind each export: the file is run at sizes that it was not traced with, beside the net that it was made from.

A label that differs is a *tie* where the net's own two best logits differ by no more than :data:`CLOSE` of the largest: there
rounding decides, in every runtime.

Letters: N images, C channels, H height, W width, K classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from fullconv.data.joint_transform import resized
from fullconv.data.sample import RGB
from fullconv.data.scenes.scenes import Scenes
from fullconv.errors import WeightsError
from fullconv.inference.exported import ExportedEngine
from fullconv.inference.threshold import labels_at
from fullconv.labels import LabelSet
from fullconv.nn.fcn import FCN

SIZES = ((1, 1, 1), (3, 33, 65), (2, 97, 64), (1, 231, 317), (1, 375, 500))
"""Images, height and width."""
CLOSE = 1e-3
"""Of the largest logit: how far logits may be away without reduced precision, and from when on two are no tie."""
CHANGED = {"fp32": 0.0, "fp16": 0.001, "int8": 0.01}
"""Share of labels that may differ, by precision; without reduced precision only ties may."""
DRAWN = (120, 160)
"""Height and width at which images are drawn where there are no images, to be resized."""

Inputs = Mapping[str, Tensor]
"""By name: uint8 (C, H, W), depth float32."""


@dataclass(frozen=True)
class SizeParity:
    """How far a file was from its net at one size, over all heads.

    Attributes
    ----------
    images, height, width
        The batch.
    logits
        Largest difference of a logit over the net's largest logit; ``None`` of files that give labels.
    changed, ties, pixels
        Labels that differ, those of them that are ties, and all labels.
    """

    images: int
    height: int
    width: int
    logits: float | None
    changed: int
    ties: int
    pixels: int


@dataclass(frozen=True)
class Parity:
    """How far an exported file is from the net it was made from.

    Attributes
    ----------
    precision
        Of the file.
    sizes
        One for each of :data:`SIZES`, up to the first at which it does not run.
    most_changed
        Share of labels that may differ, 0 to 1; without reduced precision ties may besides.
    failed
        What the runtime says there.
    """

    precision: str
    sizes: tuple[SizeParity, ...]
    most_changed: float
    failed: str | None = None

    @property
    def logits(self) -> float | None:
        """Largest difference of a logit over the largest logit, at any size; ``None`` of files that give labels."""
        known = [size.logits for size in self.sizes if size.logits is not None]
        return max(known, default=None)

    @property
    def changed(self) -> float:
        """Share of labels that differ, 0 to 1, over all sizes together."""
        return sum(size.changed for size in self.sizes) / sum(size.pixels for size in self.sizes)

    @property
    def ties(self) -> float:
        """Share of labels that differ and are ties, 0 to 1."""
        return sum(size.ties for size in self.sizes) / sum(size.pixels for size in self.sizes)

    @property
    def fault(self) -> str | None:
        """What is over the tolerance, in words; ``None`` where nothing is."""
        if self.failed is not None:
            return self.failed
        if self.precision == "fp32" and self.logits is not None and not self.logits <= CLOSE:
            return f"logits differ by up to {self.logits:.2g} of the largest, and {CLOSE:g} is allowed"
        allowed = self.most_changed + (self.ties if self.precision == "fp32" else 0)
        if self.changed > allowed:
            return f"{100 * self.changed:.3g} % of labels differ, and {100 * allowed:.3g} % are allowed"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able numbers."""
        return {
            "logits": self.logits,
            "changed": self.changed,
            "ties": self.ties,
            "most_changed": self.most_changed,
            "sizes": [asdict(size) for size in self.sizes],
        }

    def table(self) -> Table:
        """Return a row for each size."""
        rows = Table("images", "size", title=f"the file beside the checkpoint, {self.precision}")
        headings = ("largest difference of logits",) * (self.logits is not None) + ("labels changed", "of these ties")
        for heading in headings:
            rows.add_column(heading, justify="right")
        for size in self.sizes:
            logits = () if size.logits is None else (f"{size.logits:.1e}",)
            share = f"{100 * size.changed / size.pixels:.3g} %"
            rows.add_row(
                str(size.images), f"{size.height}×{size.width}", *logits, share, f"{100 * size.ties / size.pixels:.3g} %"
            )
        return rows


def measure(
    model: FCN,
    engine: ExportedEngine,
    precision: str,
    threshold: float | None,
    given: Sequence[Inputs] = (),
    most_changed: float = 0.0,
) -> Parity:
    """Return how far a file is from the net it was made from, at every one of :data:`SIZES`.

    Parameters
    ----------
    model
        In evaluation mode, on the CPU.
    engine
        The file, opened.
    precision, threshold
        Of the file.
    given
        Images to be resized to the sizes; drawn ones (:mod:`fullconv.data.scenes`) where there are none.
    most_changed
        Share of labels that may differ, see :data:`CHANGED`.
    """
    labels = engine.facts.labels
    found = []
    for batch in _batches(given or drawn(model)):
        with torch.inference_mode():
            truth = model({name: batch[name] for name in model.inputs})
        images, _, height, width = next(iter(batch.values())).shape
        try:
            outputs = dict(zip(engine.heads, engine.run(engine.prepared(batch)), strict=True))
            found.append(_compared(truth, outputs, labels, engine.gives_labels, threshold))
        except Exception as error:  # each runtime has classes of its own
            said = " ".join(str(error).split())[:200]
            return Parity(
                precision, tuple(found), most_changed, f"it does not run at {images} images of {height}×{width}: {said}"
            )
    return Parity(precision, tuple(found), most_changed)


def drawn(model: FCN, count: int = 4) -> list[Inputs]:
    """Return images of scenes with all inputs that a net reads; further bands repeat the colours."""
    scenes = Scenes("test", count, DRAWN, streams=tuple(model.inputs))
    found: list[Inputs] = []
    for index in range(count):
        inputs = dict(scenes[index].inputs)
        if RGB in inputs:
            channels = torch.arange(model.channels_of(RGB)) % len(inputs[RGB])
            inputs[RGB] = inputs[RGB][channels]
        found.append(inputs)
    return found


def _batches(given: Sequence[Inputs]) -> Iterator[dict[str, Tensor]]:
    """Yield a batch (N, C, H, W) by input for each size, the given images one after the other."""
    taken = 0
    for images, height, width in SIZES:
        chosen = [given[(taken + place) % len(given)] for place in range(images)]
        taken += images
        yield {name: torch.stack([resized(one[name], (height, width)) for one in chosen]) for name in chosen[0]}


def _compared(
    truth: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
    labels: Mapping[str, LabelSet],
    gives_labels: bool,
    threshold: float | None,
) -> SizeParity:
    images, _, height, width = next(iter(truth.values())).shape
    furthest, changed, ties, pixels = 0.0, 0, 0, 0
    for head, logits in truth.items():
        largest = float(logits.abs().max())
        if outputs[head].shape[-2:] != logits.shape[-2:]:
            raise WeightsError(f"{head} comes out as {tuple(outputs[head].shape)}")
        own = labels_at(logits, labels[head], threshold)
        found = outputs[head] if gives_labels else labels_at(outputs[head], labels[head], threshold)
        if not gives_labels:
            furthest = max(furthest, float((outputs[head] - logits).abs().max()) / max(largest, 1e-12))
        other = own != found
        changed, pixels = changed + int(other.sum()), pixels + other.numel()
        ties += int((other & _near(logits, labels[head], threshold, CLOSE * largest)).sum())
    return SizeParity(images, height, width, None if gives_labels else furthest, changed, ties, pixels)


def _near(logits: Tensor, labels: LabelSet, threshold: float | None, margin: float) -> Tensor:
    """Return where the decision hangs on less than ``margin``, bool (N, H, W)."""
    if logits.shape[1] < 2:
        return torch.zeros_like(logits[:, 0], dtype=torch.bool)
    if threshold is not None and labels.foreground is not None:
        one = labels.foreground
        odds = torch.logit(torch.tensor(threshold))
        return (logits[:, one] - logits[:, 1 - one] - odds).abs() <= margin
    best = logits.topk(2, dim=1).values
    return best[:, 0] - best[:, 1] <= margin
