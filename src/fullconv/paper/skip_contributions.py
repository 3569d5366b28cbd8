"""What each stream of a skip net contributes (paper, section 4.2 and figure 3): the deep one, pool4's and pool3's.

Upsampling by fixed deconvolutions and adding are linear, so the logits are the sum of what the streams would give alone:
that is what is drawn, and what is left out to measure a net without a stream.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fullconv.data.sample import RGB, Dataset
from fullconv.evaluation import Report
from fullconv.evaluation.plots import figure
from fullconv.metrics import ConfusionMatrix
from fullconv.nn.fcn import FCN

STREAMS = {32: "deep", 16: "pool4", 8: "pool3", 4: "pool2"}
"""What the paper calls the map that is read at each stride."""


def contributions(model: FCN, head: str, image: Tensor) -> dict[int, Tensor]:
    """Return what each stream adds to the logits, (N, K, H, W) by stride; their sum is ``model(image)[head]``.

    Parameters
    ----------
    model
        With one input stream.
    head
        Name of the output.
    image
        uint8 or float 0–255 (N, C, H, W).
    """
    image = image.to(next(model.parameters()).device)
    scores = model.score_maps(image)[head]
    return {stride: model.fuse(head, _only(scores, i), image) for i, stride in enumerate(model.strides)}


def _only(scores: Sequence[Tensor], index: int) -> list[Tensor]:
    return [maps if i == index else torch.zeros_like(maps) for i, maps in enumerate(scores)]


def ablation(model: FCN, head: str, dataset: Dataset) -> dict[str, Report]:
    """Return the scores of a trained skip net on ``dataset`` with all streams, without each, and with the deep one alone.

    The net is not trained again: what is missing is missing as if its scores were zero everywhere. It computes where it lies.
    """
    strides = model.strides
    kept = {"all streams": strides} | {f"without {STREAMS[s]}": tuple(t for t in strides if t != s) for s in strides}
    kept |= {f"{STREAMS[strides[0]]} alone": strides[:1]}
    counts = {name: ConfusionMatrix(model.heads[head]) for name in kept}
    model.eval()
    with torch.inference_mode():
        for index in range(len(dataset)):
            sample = dataset[index]
            parts = contributions(model, head, sample.inputs[RGB][None])
            truth = sample.targets[head].numpy()
            for name, chosen in kept.items():
                logits = torch.stack([parts[stride][0] for stride in chosen]).sum(0)
                counts[name].update(truth, logits.argmax(0).cpu().numpy(), dataset.labels[head].ignore_index)
    return {name: Report(dataset.name, dataset.labels[head], matrix, len(dataset)) for name, matrix in counts.items()}


def draw_streams(model: FCN, head: str, dataset: Dataset, indices: Sequence[int], path: Path) -> None:
    """Draw the scores of one class of each sample in every stream, and their sum, into a PNG; see :func:`most_refined_class`."""
    model.eval()
    titles = ["image", *(f"{STREAMS[stride]} (stride {stride})" for stride in model.strides), "sum"]
    labels = dataset.labels[head]
    with figure(path, (2.6 * len(titles), 2.2 * len(indices))) as drawing:
        plots = drawing.subplots(len(indices), len(titles), squeeze=False)
        for row, index in zip(plots, indices, strict=True):
            sample = dataset[index]
            with torch.inference_mode():
                parts = {stride: part.cpu() for stride, part in contributions(model, head, sample.inputs[RGB][None]).items()}
            thing = most_refined_class(list(parts.values())[1:], sample.targets[head].numpy(), labels.ignore_index)
            maps = [part[0, thing].numpy() for part in parts.values()]
            maps.append(np.sum(maps, axis=0))
            bound = max(float(np.abs(values).max()) for values in maps) or 1.0
            row[0].imshow(sample.inputs[RGB].numpy().transpose(1, 2, 0))
            row[0].set_ylabel(labels.names[thing])
            for plot, values in zip(row[1:], maps, strict=True):
                drawn = plot.imshow(values, cmap="RdBu_r", vmin=-bound, vmax=bound)
            drawing.colorbar(drawn, ax=row.tolist(), label="logit", shrink=0.8)
            for plot in row:
                plot.set_xticks([])
                plot.set_yticks([])
        for plot, title in zip(plots[0], titles, strict=True):
            plot.set_title(title, fontsize=10)


def most_refined_class(finer: Sequence[Tensor], truth: NDArray[np.integer], ignore_index: int) -> int:
    """Return the class that the finer maps (1, K, H, W) vary most for, of those in a hundredth or more of the truth (H, W)."""
    valid = truth[truth != ignore_index]
    present = [int(label) for label in np.unique(valid) if (valid == label).mean() >= 0.01] or [0]
    varied = torch.stack([maps[0].flatten(1).std(1) for maps in finer]).sum(0)
    return max(present, key=lambda label: float(varied[label]))
