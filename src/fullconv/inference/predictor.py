"""A trained model, put to work on pictures: ``load(path).predict(image)``.

Letters: H height, W width, K classes.
"""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fullconv.crf.mean_field import CRFSpec, refine
from fullconv.data.depth.intrinsics import Intrinsics
from fullconv.data.depth.rgbd import inputs_for
from fullconv.data.images import read_image
from fullconv.data.sample import RGB
from fullconv.drawing import overlay
from fullconv.errors import DataError, SpecError, WeightsError
from fullconv.files import replacing
from fullconv.labels import LabelSet
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.fcn import FCN

Picture = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]


@dataclass(frozen=True)
class Segmentation:
    """The classes of a picture's pixels.

    Parameters
    ----------
    labels
        uint8 (H, W), each below K.
    scores
        float32 (K, H, W): the probability of each class, 0 to 1, summing to 1; ``None`` when not asked for.
    label_set
        Names and colours of the classes.
    """

    labels: NDArray[np.uint8]
    scores: NDArray[np.float32] | None
    label_set: LabelSet

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the labels as a palette PNG: the file is the old one or whole.

        Raises
        ------
        DataError
            When ``path`` does not end in ``.png``: other formats would change labels or lose the palette.
        FullconvError
            When the folder cannot be written or the disk is full.
        """
        if Path(path).suffix.lower() != ".png":
            raise DataError(f"{path}: labels are written as PNG, which keeps them exact; end the name in .png")
        with replacing(path) as temporary:
            self.label_set.to_image(self.labels).save(temporary, format="PNG")

    def confidence(self) -> NDArray[np.float32]:
        """Return float32 (H, W): the probability of each pixel's class, 1/K to 1.

        Raises
        ------
        DataError
            When the scores were not asked for.
        """
        return self._probabilities().max(axis=0)

    def entropy(self) -> NDArray[np.float32]:
        """Return float32 (H, W): the entropy of each pixel's probabilities over that of K equal ones, ln K.

        0 where one class is certain, 1 where all are equally likely; 0 everywhere when there is one class only.

        Raises
        ------
        DataError
            When the scores were not asked for.
        """
        scores = self._probabilities()
        entropy = -(scores * np.log(np.maximum(scores, np.finfo(np.float32).tiny))).sum(axis=0)
        return np.clip(entropy / max(math.log(len(scores)), np.finfo(np.float32).tiny), 0, 1)

    def _probabilities(self) -> NDArray[np.float32]:
        if self.scores is None:
            raise DataError("this segmentation holds no scores; predict with scores=True")
        return self.scores

    def overlay(self, image: Picture) -> Image.Image:
        """Return the picture with the labels drawn over it and a legend with each class's share below."""
        return overlay(read_image(image), self.labels, self.label_set)


class Predictor:
    """A model in evaluation mode with the names of its classes.

    Parameters
    ----------
    model
        Is put in evaluation mode.
    labels
        The classes of each head.
    """

    def __init__(self, model: FCN, labels: Mapping[str, LabelSet]) -> None:
        # the layout that CPUs run convolutions fastest in
        self.model = model.eval().to(memory_format=torch.channels_last)
        self.labels = dict(labels)

    def predict(
        self,
        image: Picture,
        head: str | None = None,
        scores: bool = False,
        crf: CRFSpec | None = None,
        *,
        depth: NDArray[np.floating] | None = None,
        camera: Intrinsics | None = None,
    ) -> Segmentation:
        """Return the classes of a picture of any size.

        Parameters
        ----------
        image
            A path, a PIL image or an array uint8 (H, W, 3) RGB or (H, W) grey, see
            :func:`fullconv.data.images.read_image`; a rotation noted in EXIF is applied first.
        head
            Which of the model's outputs; the first by default.
        scores
            Also return the probabilities.
        crf
            Refine the probabilities, and so the labels, by this CRF; see :mod:`fullconv.crf.mean_field`.
        depth, camera
            For a model that reads depth or HHA, see :func:`fullconv.inference.rgbd.inputs_for`.

        Raises
        ------
        DataError
            When the picture cannot be read, or the model reads depth and it is missing or does not fit.
        SpecError
            When the model has no such head.
        """
        return self.predict_batch([inputs_for(self.model.inputs, read_image(image), depth, camera)], head, scores, crf)[0]

    def predict_batch(
        self,
        pictures: Sequence[Mapping[str, NDArray[np.generic]]],
        head: str | None = None,
        scores: bool = False,
        crf: CRFSpec | None = None,
    ) -> list[Segmentation]:
        """Return the classes of several pictures of one size that go through the net together.

        A picture is what :func:`fullconv.inference.rgbd.inputs_for` gives: (H, W, C) by input. Other parameters and errors are
        those of :meth:`predict`. Logits differ from those of one at a time by rounding only.
        """
        name = self.head(head)
        # copies, as torch warns of arrays that it must not write to
        batch = {
            key: torch.from_numpy(np.ascontiguousarray(np.stack([picture[key] for picture in pictures]).transpose(0, 3, 1, 2)))
            for key in self.model.inputs
        }
        with torch.inference_mode(), _memory_for(next(iter(batch.values()))):
            logits = self._finite(batch)[name]
            if crf is not None:
                coarse = logits.float().softmax(1).cpu().numpy()
                images = (np.asarray(picture[RGB], np.uint8) for picture in pictures)
                refined = [refine(*pair, crf) for pair in zip(coarse, images, strict=True)]
                return [
                    Segmentation(each.argmax(0).astype(np.uint8), each if scores else None, self.labels[name]) for each in refined
                ]
            labels = logits.argmax(1).to(torch.uint8).cpu().numpy()
            probabilities = logits.float().softmax(1).cpu().numpy() if scores else [None] * len(labels)
        return [Segmentation(*each, self.labels[name]) for each in zip(labels, probabilities, strict=True)]

    def logits(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return logits (1, K, H, W) of every head for one image: uint8 (C, H, W) by stream.

        Raises
        ------
        DataError
            When the memory is too small for an image of this size.
        WeightsError
            When a logit is not finite.
        """
        batch = {stream: image[None] for stream, image in inputs.items()}
        with torch.inference_mode(), _memory_for(next(iter(batch.values()))):
            return self._finite(batch)

    def _finite(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = self.model({stream: images.to(self.device) for stream, images in batch.items()})
        if not all(logits.isfinite().all() for logits in found.values()):
            raise WeightsError("the model gives scores that are no numbers: its weights are damaged or its training diverged")
        return found

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return next(self.model.parameters()).device

    def head(self, name: str | None) -> str:
        """Return the name of a head: the first when none is given.

        Raises
        ------
        SpecError
            When the model has no such head.
        """
        heads = list(self.model.heads)
        if name is not None and name not in heads:
            raise SpecError(f"the model has no head {name!r}; it has {', '.join(heads)}")
        return name or heads[0]


@contextlib.contextmanager
def _memory_for(images: Tensor) -> Iterator[None]:
    """Turn the end of the memory into an error that says for which images (N, C, H, W)."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # how torch says on every device that memory is used up, and how C++ below it does
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in ("allocate", "bad_alloc")):
            raise
        height, width = images.shape[2:]
        raise DataError(f"no memory for an image of {height}×{width} pixels; cut it into parts or shrink it") from error


def load(path: str | Path, device: str = "auto") -> Predictor:
    """Return the model of a file that training wrote, ready to predict.

    Parameters
    ----------
    path
        Of the file.
    device
        Where it computes: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` and what else torch knows; ``auto`` is ``cuda`` where there is
        one and ``cpu`` elsewhere.

    Raises
    ------
    SpecError
        When this machine has no such device.
    WeightsError
        When there is no such file, or it is damaged or of another kind.
    """
    found = _device(device)
    checkpoint = load_checkpoint(path)
    return Predictor(checkpoint.model.to(found), checkpoint.labels)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # fails where nothing computes, as on "meta"
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        raise SpecError(
            f"torch finds no device {name!r} here; give auto, cpu, or cuda, cuda:1, mps where there is one"
        ) from error
    return device
