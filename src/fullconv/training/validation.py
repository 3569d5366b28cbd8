"""Measure a model while it trains: every process takes its share of the images, the counts are added up."""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.loading import val_loader
from fullconv.data.sample import Dataset, Sample
from fullconv.drawing import prediction_grid
from fullconv.evaluation import Report
from fullconv.evaluation.at_scale import Net, logits_at_scale
from fullconv.metrics import ConfusionMatrix
from fullconv.nn.fcn import FCN
from fullconv.spec import DataSpec
from fullconv.training.module import total_over_processes

PICTURES = 6
Context = Callable[[], contextlib.AbstractContextManager[object]]


@torch.no_grad()
def validate(
    model: FCN,
    dataset: Dataset,
    spec: DataSpec,
    *,
    rank: int = 0,
    world: int = 1,
    context: Context = contextlib.nullcontext,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Report]:
    """Return a report for each head of a model, over all of ``dataset``; the model's modes are put back afterwards.

    Parameters
    ----------
    model
        On any device.
    dataset, spec
        Validation samples, measured one at a time at their own size, the scale that the model sees them at, and the number of
        reading processes.
    rank, world
        This process and their number; every process gets the same reports.
    context
        Opened around each prediction, for the precision.
    progress
        Called with (images done, images in all) of this process before each image and at the end.
    """
    counts = {head: ConfusionMatrix(classes) for head, classes in model.heads.items()}
    loader = val_loader(dataset, spec, rank=rank, world=world)
    device = next(model.parameters()).device
    with _evaluating(model):
        for done, batch in enumerate(loader):
            progress(done, len(loader))
            with context():
                logits = logits_at_scale(_on(device, model), batch["inputs"], spec.scale)
            for head, matrix in counts.items():
                ignored = dataset.labels[head].ignore_index
                matrix.update(batch["targets"][head].numpy(), logits[head].argmax(1).cpu().numpy(), ignored)
    progress(len(loader), len(loader))
    reports = {}
    for head, matrix in counts.items():
        matrix.matrix = total_over_processes(torch.from_numpy(matrix.matrix).to(device)).cpu().numpy()
        reports[head] = Report(dataset.name, dataset.labels[head], matrix, len(dataset))
    return reports


@torch.no_grad()
def picture(model: FCN, dataset: Dataset, head: str, scale: float = 1.0) -> Image.Image:
    """Return image · truth · prediction · error of a few samples, spread evenly, of a model that sees them at ``scale``."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, PICTURES).round().astype(int))
    samples = [dataset[int(index)] for index in chosen]
    rows = [(sample.picture, sample.targets[head].numpy(), _labels(model, sample, scale)[head]) for sample in samples]
    return prediction_grid(rows, dataset.labels[head])


def _on(device: torch.device, model: FCN) -> Net:
    return lambda inputs: model({stream: images.to(device) for stream, images in inputs.items()})


def _labels(model: FCN, sample: Sample, scale: float) -> dict[str, NDArray[np.integer]]:
    with _evaluating(model):
        logits = logits_at_scale(model, {stream: image[None] for stream, image in sample.inputs.items()}, scale)
    return {head: scores[0].argmax(0).numpy() for head, scores in logits.items()}


@contextlib.contextmanager
def _evaluating(model: FCN) -> Iterator[None]:
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
