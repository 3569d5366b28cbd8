"""Class weights: counted over the un-augmented training set, and used by every step."""

import io
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from fullconv.data import open_dataset
from fullconv.data.sample import Sample
from fullconv.labels import LabelSet, voc_colors
from fullconv.nn.losses.cross_entropy import cross_entropy
from fullconv.spec import DataSpec, Recipe
from fullconv.training.class_weights import class_weights, pixel_counts
from fullconv.training.interrupt import Stopped, StopRequest
from fullconv.training.log import MetricsFile
from fullconv.training.run import train

Tiny = Callable[..., Recipe]


class Masks:
    """Three masks of different sizes, two heads; class 2 of ``semantic`` never occurs."""

    name = "masks"

    def __init__(self) -> None:
        labels = LabelSet(("a", "b", "c"), voc_colors(3))
        self.labels = {"semantic": labels, "other": labels}
        rng = np.random.default_rng(0)
        self.masks = [rng.choice([0, 0, 0, 1, 255], (4 + i, 6)).astype(np.uint8) for i in range(3)]

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: int) -> Sample:
        mask = self.masks[index]
        image = np.zeros((*mask.shape, 3), np.uint8)
        return Sample.from_arrays(str(index), {"rgb": image}, {"semantic": mask, "other": np.full_like(mask, 2)})


def test_counts_against_a_loop_over_pixels(quiet: Console) -> None:
    dataset = Masks()
    spec = DataSpec(heads=("semantic", "other"), augment={"flip": True, "crop": (3, 3)})
    counts = pixel_counts(dataset, spec, quiet, StopRequest())
    by_hand = [0, 0, 0]
    for mask in dataset.masks:
        for label in mask.ravel().tolist():
            if label != 255:
                by_hand[label] += 1
    assert counts["semantic"].sum(0).tolist() == by_hand
    assert counts["other"].sum(0).tolist() == [0, 0, sum(mask.size for mask in dataset.masks)]


def test_the_mean_weight_over_the_data_set_is_one(quiet: Console) -> None:
    dataset = Masks()
    weights = class_weights(dataset, pixel_counts(dataset, DataSpec(), quiet, StopRequest()), quiet)
    targets = torch.cat([torch.from_numpy(mask).ravel() for mask in dataset.masks]).long()
    assert weights["semantic"][targets[targets != 255]].mean().item() == pytest.approx(1)
    assert weights["other"].tolist() == [0, 0, 1]
    # a net that knows nothing has the loss of an unweighted one, and both classes have an equal part in it
    logits = torch.zeros(1, 3, 1, len(targets))
    assert cross_entropy(logits, targets[None, None], weights=weights["semantic"]).item() == pytest.approx(np.log(3))
    parts = [((targets == label) * weights["semantic"][label]).sum().item() for label in (0, 1)]
    assert parts[0] == pytest.approx(parts[1])
    assert "class weights of other: a 0, b 0, c 1" in quiet.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_counting_stops_when_that_is_asked_for(quiet: Console) -> None:
    request = StopRequest()
    request.ask(signal.SIGTERM, None)
    with pytest.raises(Stopped):
        pixel_counts(Masks(), DataSpec(), quiet, request)


def test_a_balanced_run_differs_and_resumes(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    plain = train(tiny(), tmp_path / "plain", console=quiet)
    balanced = train(tiny(train={"class_weights": "balanced"}), tmp_path / "balanced", console=quiet)
    losses = [
        [row["loss"] for row in MetricsFile(result.out / "metrics.csv", ("semantic",)).rows() if "loss" in row]
        for result in (plain, balanced)
    ]
    assert losses[0] != losses[1]
    text = quiet.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert text.count("class weights of semantic: floor ") == 1  # one run of two has any, and counts once for its two stages
    again = Console(file=io.StringIO(), width=200)
    train(tiny(train={"class_weights": "balanced"}), balanced.out, resume=True, console=again)
    assert "class weights" not in again.file.getvalue()  # type: ignore[attr-defined]  # finished: nothing is counted


def test_every_pixel_of_scenes_is_valid(quiet: Console) -> None:
    spec = DataSpec(count=40, size=(24, 32))
    counts = pixel_counts(open_dataset(spec, "train"), spec, quiet, StopRequest())
    assert counts["semantic"].sum() == 40 * 24 * 32
