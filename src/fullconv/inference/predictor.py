"""A trained model, put to work on images: ``load(path).predict(image)``.

Logits become probabilities by softmax over the classes, and labels by taking the largest.

Letters: N images, C channels, H height, W width, K classes.
"""

import copy
import sys
from collections.abc import Mapping, Sequence
from typing import TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray

from fullconv.crf.mean_field import CRFSpec, refine
from fullconv.data.depth.intrinsics import Intrinsics
from fullconv.data.depth.rgbd import inputs_for
from fullconv.data.images import picture_of
from fullconv.data.sample import RGB
from fullconv.errors import DataError, SpecError
from fullconv.inference.device import Fitting, memory_for
from fullconv.inference.engine import Engine
from fullconv.inference.on_tensors import OnTensors
from fullconv.inference.pipeline import group_by_size
from fullconv.inference.rgbd import Loaded
from fullconv.inference.segmentation import Segmentation
from fullconv.inference.sources import ImageLike, as_array
from fullconv.inference.threshold import labels_at
from fullconv.inference.tta import TTA
from fullconv.labelmap import LabelMap
from fullconv.labels import LabelSet
from fullconv.nn.fcn import FCN
from fullconv.spec import ImageSpec
from fullconv.spec.image import PLAIN

Depth = NDArray[np.floating]
"""(H, W) in metres, 0 or NaN where nothing was measured."""

One = TypeVar("One", bound=ImageLike)


class Predictor(OnTensors):
    """A model in evaluation mode with the names of its classes; several threads may use one at the same time.

    Parameters
    ----------
    model
        A net, which is put in evaluation mode and run as it is; or an engine (:mod:`fullconv.inference.engine`).
    labels
        The classes of each head.
    scale
        The factor on height and width at which the model learned its images, see :mod:`fullconv.evaluation.at_scale`. Images
        are resized by it before the model sees them, and logits are brought back to the images' own size.
    threshold
        Of heads with two classes: the probability from which on a pixel is of the one, see :mod:`fullconv.inference.threshold`.
    image
        Bands, range and pages of the images that it learned, in which it reads others.
    label_maps
        What the masks that it learned from stored, by head, where that is known; see :meth:`Segmentation.save`.
    tta
        In which views the model sees each image, whose probabilities are averaged, see :mod:`fullconv.inference.tta`.

    Raises
    ------
    SpecError
        When labels and model have other heads or other numbers of classes; when the scale is not above 0.

    Examples
    --------
    >>> from fullconv.nn.build import build_model
    >>> predictor = Predictor(build_model("fcn8s-minivgg", 2), {"semantic": LabelSet(("cat", "dog"))})
    >>> predictor.predict(np.zeros((37, 50, 3), np.uint8)).labels.shape
    (37, 50)
    """

    def __init__(
        self,
        model: FCN | Engine,
        labels: Mapping[str, LabelSet],
        scale: float = 1.0,
        threshold: float | None = None,
        image: ImageSpec = PLAIN,
        label_maps: Mapping[str, LabelMap] | None = None,
        tta: TTA | None = None,
    ) -> None:
        super().__init__(model, labels, scale, threshold, tta)
        self.image = image
        self.label_maps = dict(label_maps or {})
        self._fitting = Fitting()

    @overload
    def predict(
        self,
        images: ImageLike,
        *,
        head: str | None = None,
        probabilities: bool = False,
        crf: CRFSpec | None = None,
        depth: Depth | None = None,
        camera: Intrinsics | None = None,
    ) -> Segmentation: ...

    @overload
    def predict(
        self,
        images: list[One] | tuple[One, ...],
        *,
        head: str | None = None,
        probabilities: bool = False,
        crf: CRFSpec | None = None,
        depth: list[Depth] | tuple[Depth, ...] | None = None,
        camera: Intrinsics | None = None,
    ) -> list[Segmentation]: ...

    def predict(
        self,
        images: ImageLike | list[One] | tuple[One, ...],
        *,
        head: str | None = None,
        probabilities: bool = False,
        crf: CRFSpec | None = None,
        depth: Depth | list[Depth] | tuple[Depth, ...] | None = None,
        camera: Intrinsics | None = None,
    ) -> Segmentation | list[Segmentation]:
        """Return the classes of an image of any size, or of each image in a list, in its order.

        Parameters
        ----------
        images
            A path, the bytes of an image file, an open binary file, a PIL image, an array uint8 (H, W, 3) RGB or (H, W) grey,
            a tensor uint8 (3, H, W) RGB or (1, H, W) grey; or a list or tuple of them, which may differ in kind and size.
            See :func:`fullconv.inference.sources.as_array`. On a GPU those of one size go through the net together.
        head
            Which of the model's outputs; the first by default.
        probabilities
            Also return the probabilities.
        crf
            Refine the probabilities, and so the labels, by this CRF; see :mod:`fullconv.crf.mean_field`.
        depth, camera
            For a model that reads depth or HHA, see :func:`fullconv.data.depth.rgbd.inputs_for`; of a list of images a list of
            depths, of one camera.

        Raises
        ------
        DataError
            When an image cannot be read, of a list also which; when the model reads depth and it is missing or does not fit;
            when the memory is too small.
        SpecError
            When the model has no such head.
        WeightsError
            When a logit is not finite.
        """
        self.head(head)
        if not isinstance(images, list | tuple):
            if isinstance(depth, list | tuple):
                raise DataError("one image takes one depth (H, W); got a list of them")
            return self.predict_batch([self._inputs(images, depth, camera)], head, probabilities, crf)[0]
        depths = (None,) * len(images) if depth is None else depth
        if not isinstance(depths, list | tuple) or len(depths) != len(images):
            raise DataError(f"a list of {len(images)} images takes a list of as many depths, one for each")
        read = []
        for place, pair in enumerate(zip(images, depths, strict=True)):
            try:
                read.append(self._inputs(*pair, camera))
            except DataError as error:
                raise DataError(f"image {place} of the list, counted from 0: {error}") from error
        found: dict[int, Segmentation] = {}
        images_read = ((place, Loaded(np.asarray(each[RGB], np.uint8), each)) for place, each in enumerate(read))
        for group in group_by_size(images_read, self.together, held=sys.maxsize):  # all are in memory already
            made = self.predict_batch([read[place] for place, _ in group], head, probabilities, crf)
            found |= zip((place for place, _ in group), made, strict=True)
        return [found[place] for place in range(len(images))]

    def _inputs(self, image: ImageLike, depth: Depth | None, camera: Intrinsics | None) -> dict[str, NDArray[np.generic]]:
        return inputs_for(self.engine.inputs, as_array(image, self.image), depth, camera)

    def predict_batch(
        self,
        images: Sequence[Mapping[str, NDArray[np.generic]]],
        head: str | None = None,
        probabilities: bool = False,
        crf: CRFSpec | None = None,
    ) -> list[Segmentation]:
        """Return the classes of several images of one size that go through the net together.

        An image is what :func:`fullconv.data.depth.rgbd.inputs_for` gives: (H, W, C) by input. Other parameters and errors are
        those of :meth:`predict`. Logits differ from those of one at a time by rounding only.
        """
        name = self.head(head)
        return self._fitting(images, lambda some: self._predict_together(some, name, probabilities, crf))

    def _predict_together(
        self, images: Sequence[Mapping[str, NDArray[np.generic]]], name: str, probabilities: bool, crf: CRFSpec | None
    ) -> list[Segmentation]:
        # copies, as torch warns of arrays that it must not write to
        batch = {
            key: torch.from_numpy(np.ascontiguousarray(np.stack([image[key] for image in images]).transpose(0, 3, 1, 2)))
            for key in self.engine.inputs
        }
        with torch.inference_mode(), memory_for(next(iter(batch.values()))):
            if crf is None and not probabilities:
                return [self._found(each, None, name) for each in self._labels(batch, name).cpu().numpy()]
            logits = self._finite(batch)[name]
            if crf is not None:
                if self.threshold is not None:
                    raise SpecError("a CRF finds the most probable labels; give it or a threshold, not both")
                coarse = logits.float().softmax(1).cpu().numpy()
                colors = (picture_of(np.asarray(image[RGB], np.uint8)) for image in images)
                refined = [refine(*pair, crf) for pair in zip(coarse, colors, strict=True)]
                return [self._found(each.argmax(0).astype(np.uint8), each if probabilities else None, name) for each in refined]
            labels = labels_at(logits, self.labels[name], self.threshold).cpu().numpy()
            known = logits.float().softmax(1).cpu().numpy()
        return [self._found(*each, name) for each in zip(labels, known, strict=True)]

    def _found(self, labels: NDArray[np.uint8], probabilities: NDArray[np.float32] | None, head: str) -> Segmentation:
        return Segmentation(labels, probabilities, self.labels[head], self.label_maps.get(head))

    def augmented(self, tta: TTA | None) -> "Predictor":
        """Return a predictor with the same engine that shows it each image in the views of ``tta``; without any for ``None``."""
        found = copy.copy(self)
        found.tta = tta
        return found
