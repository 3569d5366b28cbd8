"""What a verdict needs to know of a run: measured at its end, on a few images, in a bounded time."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fullconv.data.sample import Dataset, Sample
from fullconv.evaluation import evaluate
from fullconv.geometry.bound import coarsen
from fullconv.metrics import ConfusionMatrix, metrics_of
from fullconv.nn.fcn import FCN
from fullconv.training.stages import Run
from fullconv.training.verdict import Facts

MOST = 32
"""Images that are looked at, of each split."""


class Spread:
    """At most ``count`` samples of ``dataset``, evenly spread over it."""

    def __init__(self, dataset: Dataset, count: int = MOST) -> None:
        self.dataset, self.name, self.labels = dataset, dataset.name, dataset.labels
        self.places = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int)).tolist()

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.places[index]]


def facts_of(run: Run, model: FCN, records: Sequence[Mapping[str, Any]]) -> Facts:
    """Return what is known of a run at its end.

    Parameters
    ----------
    run, records
        The run, and its stages as in ``result.json``.
    model
        That is kept, in evaluation mode; on the CPU.
    """
    head, recipe, last = run.metric.head, run.recipe, records[-1]
    report = last["heads"][head]
    column = run.metric.column
    rows = [row for row in run.log.rows() if row["stage"] == last["stage"] and column in row]
    seconds = sum(record["seconds"] for record in records)
    return Facts(
        train=_on_training_images(run, model, head),
        validation=report["mean_iu"],
        bound=_bound(run, head, round(recipe.train.stages[-1].stride / recipe.data.scale)),
        curve=[(row["step"], row[column]) for row in rows],
        stage=last,
        iu=report["iu"],
        pixels=report["pixels"],
        waiting=sum(record.get("waiting", 0.0) for record in records) / seconds if seconds else 0.0,
        workers=recipe.data.workers,
        cores=os.cpu_count() or 1,
        stride=recipe.train.stages[-1].stride,
        balanced=recipe.train.class_weights is not None,
    )


def _on_training_images(run: Run, model: FCN, head: str) -> float | None:
    """Return the mean IU on training images as the net learned them, but unchanged at random."""

    def predict(inputs: Mapping[str, torch.Tensor]) -> NDArray[np.integer]:
        with torch.no_grad():
            return model({name: image[None] for name, image in inputs.items()})[head][0].argmax(0).numpy()

    shown = Spread(run.training)
    found = evaluate(predict, shown, shown.labels[head], head=head).metrics.mean_iu
    return None if np.isnan(found) else float(found)


def _bound(run: Run, head: str, stride: int) -> float | None:
    """Return the mean IU of the truth of some validation images, made coarse by the net's stride in their own pixels."""
    shown = Spread(run.validation.dataset)
    labels = shown.labels[head]
    matrix = ConfusionMatrix(len(labels))
    for index in range(len(shown)):
        truth = shown[index].targets[head].numpy()
        matrix.update(truth, coarsen(truth, max(1, stride), "linear", labels.ignore_index), labels.ignore_index)
    found = metrics_of(matrix).mean_iu
    return None if np.isnan(found) else float(found)
