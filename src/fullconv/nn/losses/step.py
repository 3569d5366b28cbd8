"""The loss of a step: the losses that a recipe names, weighted and added."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fullconv.nn.losses.cross_entropy import cross_entropy
from fullconv.nn.losses.focal import focal
from fullconv.nn.losses.lovasz import lovasz
from fullconv.nn.losses.ohem import ohem
from fullconv.nn.losses.overlap import tversky
from fullconv.nn.losses.reduction import Reduction
from fullconv.spec.loss import CrossEntropyTerm, FocalTerm, LossSpec, LossTerm, OhemTerm, TverskyTerm

OVERLAPS = {"dice": (0.5, 0.5), "jaccard": (1.0, 1.0)}
"""Weights of false positives and false negatives of the overlaps that have names."""


@dataclass(frozen=True)
class StepLoss:
    """One process's part of the loss of a step: the parts of all processes add up to the loss of the whole step.

    Parameters
    ----------
    spec
        Which losses.
    reduction
        See :func:`fullconv.nn.losses.cross_entropy.cross_entropy`.
    share
        Of patches that are kept, see there.
    images
        Images of the step, those of all processes together; ``None``: as many as are given.
    processes, total
        How many share a step, and what adds a tensor over them, gradients with it.
    parts
        In how many parts, one after the other, the gradients of a step are added up (``train.accumulate``). A mean over pixels
        knows the pixels of the whole step; overlaps and hard examples are of each part, and their mean over the parts is taken.

    Examples
    --------
    >>> step = StepLoss(LossSpec.model_validate({"cross_entropy": 1, "dice": 0.5}))
    >>> step(torch.zeros(1, 2, 3, 3), torch.ones(1, 3, 3, dtype=torch.long))  # log 2 + (1 - 2/3) / 2
    tensor(0.8598)
    """

    spec: LossSpec
    reduction: Reduction = "mean"
    share: float = 1.0
    images: int | None = None
    processes: int = 1
    total: Callable[[Tensor], Tensor] = lambda value: value
    parts: int = 1

    @property
    def is_cross_entropy(self) -> bool:
        """Whether it is cross entropy alone, without smoothing."""
        return self.spec.plain and not getattr(self.spec.terms["cross_entropy"], "label_smoothing", 0)

    def __call__(
        self, logits: Tensor, target: Tensor, valid_pixels: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Return the loss, a scalar.

        Parameters
        ----------
        logits, target
            Float (N, K, H, W), and int64 (N, H, W) with 0..K-1 or 255.
        valid_pixels
            Of all processes, see :func:`fullconv.nn.losses.cross_entropy.cross_entropy`; by default those of ``target``.
        weights
            Of the classes, float (K,).
        """
        parts = [
            term.weight * self._one(name, term, logits, target, valid_pixels, weights) for name, term in self.spec.terms.items()
        ]
        return torch.stack(parts).sum()

    def _one(
        self, name: str, term: LossTerm, logits: Tensor, target: Tensor, valid: Tensor | None, weights: Tensor | None
    ) -> Tensor:
        reduction, images = self.reduction, self.images
        match term:
            case CrossEntropyTerm():
                return cross_entropy(
                    logits,
                    target,
                    reduction,
                    valid_pixels=valid,
                    weights=weights,
                    share=self.share,
                    images=images,
                    label_smoothing=term.label_smoothing,
                )
            case FocalTerm():
                return focal(logits, target, term.gamma, reduction, valid_pixels=valid, weights=weights, images=images)
            case OhemTerm():
                found = ohem(logits, target, term.keep, reduction, weights=weights, images=images, total=self.total)
                return found / self.parts if reduction == "mean" else found
        if name == "lovasz":
            return lovasz(logits, target, weights=weights, images=images)
        alpha, beta = (term.alpha, term.beta) if isinstance(term, TverskyTerm) else OVERLAPS[name]
        found = tversky(logits, target, alpha, beta, reduction, weights=weights, images=images, total=self.total)
        # of the mean each process holds the whole, of the mean over images its own images' part
        return found / (self.processes * self.parts) if reduction == "mean" else found
