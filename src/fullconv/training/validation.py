"""Measure a model while it trains: every process takes its share of the images, the counts are added up."""

import contextlib
from collections.abc import Callable, Iterator

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader

from fullconv.data.loading import Batch, val_loader
from fullconv.data.sample import Dataset, Sample
from fullconv.drawing import prediction_grid
from fullconv.evaluation import Report
from fullconv.evaluation.at_scale import Net, logits_at_scale
from fullconv.metrics import ConfusionMatrix
from fullconv.nn.fcn import FCN
from fullconv.spec import DataSpec
from fullconv.training.clock import StageClock
from fullconv.training.interrupt import StopRequest
from fullconv.training.module import total_over_processes

SHOWN = 6
"""Samples in a picture of predictions."""
Context = Callable[[], contextlib.AbstractContextManager[object]]
Progress = Callable[[int, int], None]


class Validation:
    """A validation split and the processes that read it, which stay from one measurement of a run to the next.

    Parameters
    ----------
    dataset, spec
        Samples, measured one at a time at their own size; the scale that a model sees them at, and how many processes read.
    """

    def __init__(self, dataset: Dataset, spec: DataSpec) -> None:
        self.dataset, self.spec = dataset, spec
        self._loader: DataLoader[Batch] | None = None

    def measure(
        self, model: FCN, trainer: pl.Trainer, progress: Progress, request: StopRequest | None = None
    ) -> dict[str, Report]:
        """Return a report for each head with the processes and the precision of a trainer, see :func:`validate`."""
        if self._loader is None:
            self._loader = val_loader(self.dataset, self.spec, rank=trainer.global_rank, world=trainer.world_size)
        context = trainer.precision_plugin.val_step_context
        return validate(model, self.dataset, self._loader, context, progress, self.spec.scale, request)

    @property
    def pixels(self) -> int:
        """The pixels of one measurement as the model sees them, counted by the first image."""
        height, width = self.dataset[0].size
        return round(len(self.dataset) * height * width * self.spec.scale**2)

    def pictures(self, model: FCN, trainer: pl.Trainer) -> dict[str, Image.Image]:
        """Return :func:`draw_predictions` of each head by the names under which loggers show them."""
        with trainer.precision_plugin.val_step_context():
            drawn = {head: draw_predictions(model, self.dataset, head, self.spec.scale) for head in model.heads}
        return {head_name("predictions", head, model): picture for head, picture in drawn.items()}

    def close(self) -> None:
        """End the processes."""
        self._loader = None


@torch.no_grad()
def validate(
    model: FCN,
    dataset: Dataset,
    loader: DataLoader[Batch],
    context: Context = contextlib.nullcontext,
    progress: Progress = lambda done, of: None,
    scale: float = 1.0,
    request: StopRequest | None = None,
) -> dict[str, Report]:
    """Return a report for each head of a model, over all of ``dataset``; the model's modes are put back afterwards.

    Parameters
    ----------
    model
        On any device.
    dataset
        Validation samples.
    loader
        Of this process's share of them, from :func:`fullconv.data.loading.val_loader`; every process gets the same reports.
    context
        Opened around each prediction, for the precision.
    progress
        Called with (images done, images in all) of this process before each image and at the end.
    scale
        Factor on height and width at which the model sees the images; they are measured at their own size.
    request
        Of the end: images are not waited for any longer when it comes.

    Raises
    ------
    Stopped
        When the end is asked for while an image is waited for.
    """
    counts = {head: ConfusionMatrix(classes) for head, classes in model.heads.items()}
    device = next(model.parameters()).device
    with _evaluating(model):
        for done, batch in enumerate(StageClock(None, request=request).waited(loader)):
            progress(done, len(loader))
            with context():
                logits = logits_at_scale(_on(device, model), batch["inputs"], scale)
            for head, matrix in counts.items():
                ignored = dataset.labels[head].ignore_index
                matrix.update(batch["targets"][head].numpy(), logits[head].argmax(1).cpu().numpy(), ignored)
    progress(len(loader), len(loader))
    reports = {}
    for head, matrix in counts.items():
        matrix.matrix = total_over_processes(torch.from_numpy(matrix.matrix).to(device)).cpu().numpy()
        reports[head] = Report(dataset.name, dataset.labels[head], matrix, len(dataset))
    return reports


def head_name(name: str, head: str, model: FCN) -> str:
    """Return what something of one head is called: ``name`` where it is the only head, else ``name-HEAD``."""
    return name if len(model.heads) == 1 else f"{name}-{head}"


@torch.no_grad()
def draw_predictions(model: FCN, dataset: Dataset, head: str, scale: float = 1.0) -> Image.Image:
    """Return image · ground truth · prediction · error of a few samples for a model that sees them at ``scale``."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, SHOWN).round().astype(int))
    samples = [dataset[int(index)] for index in chosen]
    rows = [(sample.picture, sample.targets[head].numpy(), _labels(model, sample, scale)[head]) for sample in samples]
    return prediction_grid(rows, dataset.labels[head])


def _on(device: torch.device, model: FCN) -> Net:
    return lambda inputs: model({stream: images.to(device) for stream, images in inputs.items()})


def _labels(model: FCN, sample: Sample, scale: float) -> dict[str, NDArray[np.integer]]:
    device = next(model.parameters()).device
    with _evaluating(model):
        inputs = {stream: image[None] for stream, image in sample.inputs.items()}
        logits = logits_at_scale(_on(device, model), inputs, scale)
    return {head: scores[0].argmax(0).cpu().numpy() for head, scores in logits.items()}


@contextlib.contextmanager
def _evaluating(model: FCN) -> Iterator[None]:
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
