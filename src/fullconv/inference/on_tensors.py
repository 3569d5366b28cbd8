"""A model at work on tensors: its logits at the images' own size, and the labels that they give.

Letters: N images, C channels, H height, W width, K classes.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fullconv.errors import SpecError
from fullconv.evaluation.at_scale import logits_at_scale
from fullconv.inference.device import memory_for
from fullconv.inference.engine import Engine, InStrips
from fullconv.inference.engines.choose import EngineName, choose_engine
from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.engines.precision import Precision
from fullconv.inference.finite import check_finite
from fullconv.inference.heads import check_heads, find_head
from fullconv.inference.threshold import labels_at
from fullconv.inference.tta import TTA
from fullconv.labels import LabelSet
from fullconv.nn.fcn import FCN

TOGETHER = 8
"""Images of one size that a GPU is given at once.

On a CPU that is slower at the sizes of photographs: fcn8s-squeezenet1_1 took 52 ms of one core for an image of 375×500 alone
and 66 ms in fours (96×128: 4.6 and 3.7 ms); torch 2.14 on an AMD EPYC.
"""


class OnTensors:
    """What a :class:`fullconv.inference.predictor.Predictor` does with tensors; parameters and errors are its own."""

    def __init__(
        self, model: FCN | Engine, labels: Mapping[str, LabelSet], scale: float, threshold: float | None, tta: TTA | None
    ) -> None:
        check_heads(model.heads, labels)
        if not 0 < scale < math.inf:
            raise SpecError(
                f"the scale is {scale:g}; it is the factor on height and width that the model was trained at, above 0"
            )
        self.engine: Engine = EagerEngine(model) if isinstance(model, FCN) else model
        self.labels = dict(labels)
        self.scale = scale
        self.threshold = threshold
        self.tta = tta

    def logits(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return logits (1, K, H, W) of every head for one image at its own size: uint8 (C, H, W) by stream.

        Streams that the model does not read are left out. With test-time augmentation they are the logarithms of the averaged
        probabilities.

        Raises
        ------
        DataError
            When the memory is too small for an image of this size.
        SpecError
            When a stream is missing.
        WeightsError
            When a logit is not finite.
        """
        batch = self._alone(inputs)
        with torch.inference_mode(), memory_for(next(iter(batch.values()))):
            return self._finite(batch)

    def _alone(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        batch = {stream: image[None] for stream, image in inputs.items() if stream in self.engine.inputs}
        if missing := [name for name in self.engine.inputs if name not in batch]:
            raise SpecError(f"the model reads {', '.join(self.engine.inputs)}; {', '.join(missing)} is missing")
        return batch

    def labels_of(self, inputs: Mapping[str, Tensor], head: str | None = None) -> NDArray[np.uint8]:
        """Return the labels uint8 (H, W) of one sample's streams, uint8 (C, H, W) each; errors as :meth:`logits`.

        It is what evaluation asks for: ``fullconv.evaluate(predictor.labels_of, dataset, predictor.labels["semantic"])``.
        """
        name, batch = self.head(head), self._alone(inputs)
        with torch.inference_mode(), memory_for(next(iter(batch.values()))):
            return self._labels(batch, name)[0].cpu().numpy()

    def _labels(self, batch: Mapping[str, Tensor], head: str) -> Tensor:
        """Return the labels uint8 (N, H, W), from logits that are made strip by strip where the engine can."""
        if self.scale == 1 and self.tta is None and isinstance(self.engine, InStrips):
            strips = self.engine.strips(batch, head)
        else:
            strips = iter([self._logits(batch)[head]])
        return torch.cat([labels_at(check_finite(logits), self.labels[head], self.threshold) for logits in strips], 1)

    def _finite(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {head: check_finite(logits) for head, logits in self._logits(batch).items()}

    def _logits(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.tta is not None:
            return self.tta.log_probabilities(self.engine, batch, self.scale, check_finite)
        return logits_at_scale(self.engine, batch, self.scale)

    @property
    def model(self) -> FCN:
        """The net that the engine runs.

        Raises
        ------
        SpecError
            When it has none, as one that runs an exported file.
        """
        found = getattr(self.engine, "model", None)
        if found is None:
            raise SpecError(
                "an exported file holds no net that could be looked into; load the model.safetensors it was made from"
            )
        return found

    def use_engine(self, name: EngineName, precision: Precision | None = None, pixels: int | None = None) -> str:
        """Have the net run by another engine from now on; return in words what runs and why.

        Parameters and errors are those of :func:`fullconv.inference.engines.choose.choose_engine`.
        """
        self.engine, about = choose_engine(self.model, name, precision, pixels)
        return about

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.engine.device

    @property
    def precision(self) -> str:
        """In which numbers the engine's convolutions compute, such as ``bf16``; ``fp32`` where it does not say."""
        return getattr(self.engine, "precision", "fp32")

    @property
    def together(self) -> int:
        """How many images of one size go through the net at once: one on a CPU, :data:`TOGETHER` elsewhere."""
        return 1 if self.device.type == "cpu" else TOGETHER

    def head(self, name: str | None) -> str:
        """Return the name of a head: the first when none is given.

        Raises
        ------
        SpecError
            When the model has no such head.
        """
        return find_head(self.engine.heads, name)
