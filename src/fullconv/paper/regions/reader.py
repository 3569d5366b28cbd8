"""What FCN-8s and the network of the region methods make of an image, in which time; kept for when a run goes on."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fullconv.data.sample import RGB, SEMANTIC, Sample
from fullconv.files import replacing
from fullconv.inference.device import find_device
from fullconv.inference.engines.folded import folded
from fullconv.inference.engines.packed import can_pack, packed
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.paper.regions.methods import Described
from fullconv.paper.regions.nets import features
from fullconv.paper.regions.proposals import Proposals, propose

PARTS = ("forward", "proposals", "boxes", "regions")
"""What is timed: FCN-8s's pass; then the proposals, and the features of boxes and of masked regions."""


class Stopwatch:
    """Seconds from one look to the next, the first counted from when it was made."""

    def __init__(self) -> None:
        self.last = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last look."""
        before, self.last = self.last, time.perf_counter()
        return self.last - before


@dataclass(frozen=True)
class Reading:
    """What came out of an image.

    Parameters
    ----------
    labels
        uint8 (H, W): FCN-8s's.
    described
        The regions and their features.
    seconds
        float64 (4,), in the order of :data:`PARTS`.
    """

    labels: NDArray[np.uint8]
    described: Described
    seconds: NDArray[np.float64]


class Reader:
    """Reads images by one trained net.

    Parameters
    ----------
    checkpoint
        Of the FCN-8s, whose trunk also gives the features.
    side, proposals
        Of the square that boxes are warped to, in pixels; at most so many for an image.
    folder
        Of what is kept; files of another net or of other settings lie elsewhere in it and are not read.
    """

    def __init__(self, checkpoint: Path, side: int, proposals: int, folder: Path) -> None:
        self.model = load_checkpoint(checkpoint).model.eval().to(find_device("auto"))
        trunk, prepare = self.model.trunks[RGB], packed if can_pack(find_device("auto")) else folded
        trunk.graph = prepare(trunk.graph, torch.float32)  # as predictions are computed: half the time for small boxes
        self.side, self.proposals = side, proposals
        self.folder = folder / f"{hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:12]}-{side}-{proposals}"

    def read(self, sample: Sample, name: str) -> Reading:
        """Return the reading of an image, kept under a ``name`` of its own."""
        path = self.folder / f"{name}.npz"
        if not path.exists():
            reading = self._read(sample)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(
                    file,
                    labels=reading.labels,
                    seconds=reading.seconds,
                    segments=reading.described.proposals.segments,
                    members=reading.described.proposals.members,
                    box=reading.described.box,
                    region=reading.described.region,
                )
        with np.load(path) as kept:
            described = Described(Proposals(kept["segments"], kept["members"]), kept["box"], kept["region"])
            return Reading(kept["labels"], described, kept["seconds"])

    @torch.inference_mode()
    def label(self, sample: Sample) -> NDArray[np.uint8]:
        """Return FCN-8s's labels, uint8 (H, W)."""
        device = next(self.model.parameters()).device
        return self.model(sample.inputs[RGB][None].to(device))[SEMANTIC][0].argmax(0).byte().cpu().numpy()

    def _read(self, sample: Sample) -> Reading:
        watch, image = Stopwatch(), sample.picture
        labels = self.label(sample)
        seconds = [watch.lap()]
        proposals = propose(image, self.proposals)
        seconds.append(watch.lap())
        found = []
        for masked in (False, True):
            found.append(features(self.model, image, proposals, self.side, masked=masked))
            seconds.append(watch.lap())
        return Reading(labels, Described(proposals, *found), np.array(seconds))
