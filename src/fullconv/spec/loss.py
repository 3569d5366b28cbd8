"""What training makes small: one loss, or a weighted sum of several."""

from typing import Any, Self

from pydantic import Field, PositiveFloat, model_serializer, model_validator

from fullconv.spec.base import Spec


class LossTerm(Spec):
    """One loss of a sum; a bare number in YAML is its weight.

    Parameters
    ----------
    weight
        Factor on it before the losses are added; above 0.
    """

    weight: PositiveFloat = 1.0

    @model_validator(mode="before")
    @classmethod
    def _weight_alone(cls, given: Any) -> Any:
        return {"weight": given} if isinstance(given, int | float) and not isinstance(given, bool) else given


class CrossEntropyTerm(LossTerm):
    """Cross entropy, see :func:`fullconv.nn.losses.cross_entropy.cross_entropy`.

    Parameters
    ----------
    label_smoothing
        Share of each pixel's truth that is spread evenly over all classes, in [0, 1); 0.1 is usual.
    """

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)


class FocalTerm(LossTerm):
    """Focal loss, see :func:`fullconv.nn.losses.focal.focal`.

    Parameters
    ----------
    gamma
        A pixel's cross entropy counts by ``(1 - p)^gamma``, where p is the probability of its true class; 0 is cross entropy.
    """

    gamma: float = Field(default=2.0, ge=0)


class OhemTerm(LossTerm):
    """Online hard example mining, see :func:`fullconv.nn.losses.ohem.ohem`.

    Parameters
    ----------
    keep
        Share of each image's valid pixels, those with the largest cross entropy, that count; in (0, 1].
    """

    keep: float = Field(default=0.25, gt=0, le=1)


class TverskyTerm(LossTerm):
    """Tversky loss, see :func:`fullconv.nn.losses.overlap.tversky`.

    Parameters
    ----------
    alpha, beta
        Weights of false positives and of false negatives, 0 or more and not both 0: 0.5 and 0.5 is Dice, 1 and 1 is Jaccard;
        a larger ``beta`` finds more of each class at the price of false alarms.
    """

    alpha: float = Field(default=0.3, ge=0)
    beta: float = Field(default=0.7, ge=0)

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if self.alpha + self.beta == 0:
            raise ValueError("tversky with alpha 0 and beta 0 counts no mistake; give one of them above 0")
        return self


REGION_LOSSES = ("dice", "jaccard", "tversky", "lovasz")
"""Losses of regions: one number of a step or an image, and no sum over pixels."""


class LossSpec(Spec):
    """A loss by its name, such as ``dice``, or a weighted sum: ``{cross_entropy: 1, dice: 0.5}``.

    A number is a weight; a mapping gives weight and parameters, such as ``{focal: {weight: 1, gamma: 2}}``. Formulas, and how
    each counts ignored pixels and classes that a batch lacks, stand in :mod:`fullconv.nn.losses`.

    Parameters
    ----------
    cross_entropy
        -log p of the true class at each pixel, see :class:`CrossEntropyTerm`.
    focal
        Cross entropy with less weight on pixels that are right already, see :class:`FocalTerm`.
    ohem
        Cross entropy of each image's hardest pixels, see :class:`OhemTerm`.
    dice, jaccard
        1 - the overlap of probabilities and truth, the mean over the classes that are there: F1, or intersection over union.
    tversky
        The same with a weight for each kind of mistake, see :class:`TverskyTerm`.
    lovasz
        Lovász-softmax: a surrogate of each image's mean IU.
    """

    cross_entropy: CrossEntropyTerm | None = None
    focal: FocalTerm | None = None
    ohem: OhemTerm | None = None
    dice: LossTerm | None = None
    jaccard: LossTerm | None = None
    tversky: TverskyTerm | None = None
    lovasz: LossTerm | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, given: Any) -> Any:
        return {given: 1.0} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.terms:
            raise ValueError(f"train.loss names no loss; give one or several of {', '.join(type(self).model_fields)}")
        return self

    @model_serializer
    def _only_what_is_there(self) -> dict[str, Any]:
        return {name: term.model_dump(mode="json") for name, term in self.terms.items()}

    @property
    def terms(self) -> dict[str, LossTerm]:
        """The losses that are added, by name."""
        return {name: term for name in type(self).model_fields if (term := getattr(self, name)) is not None}

    @property
    def plain(self) -> bool:
        """Whether it is cross entropy alone, of whatever weight and smoothing."""
        return tuple(self.terms) == ("cross_entropy",)

    def __str__(self) -> str:
        """Return such as ``cross_entropy + 0.5 × dice``."""
        return " + ".join(name if term.weight == 1 else f"{term.weight:g} × {name}" for name, term in self.terms.items())


CROSS_ENTROPY = LossSpec(cross_entropy=CrossEntropyTerm())
"""What is made small where a recipe says nothing."""
