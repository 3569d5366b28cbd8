"""What limits a run, in words, and what to try next: rules over what was measured, each a pure function of :class:`Facts`.

The thresholds are rules of thumb, no laws: a rule speaks where the numbers are plain, and says the numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fullconv.errors import some

WAITS = 0.2
"""Share of the steps' time waiting for images that is told."""
GAP = 0.15
"""Mean IU on training images above that on validation images by which a net over-fits."""
LOW = 0.6
"""Share of what the stride allows below which a net that does not over-fit under-fits."""
NEAR_BOUND = 0.85
"""Share of what the stride allows from which on the stride itself limits."""
TIE = 1e-6
"""Values of a metric nearer to each other than this are the same."""
PERFECT = 0.995
"""Mean IU from which there is nothing to say about what limits it."""
ONLY = 0.002
"""How near a class's IU is to its share of the ground truth where the net predicts nothing else."""
RISE = 0.01
"""What the last third of a stage must still gain to be called rising."""


FEW_STEPS, FEW_MEASUREMENTS = 50, 3
"""What a stage must have before anything else than more steps is advised for a net that has not learned."""


@dataclass(frozen=True)
class Facts:
    """What is known of a run at its end; all scores in 0..1.

    Attributes
    ----------
    train, validation
        Mean IU of the kept model, on some training images as they are and on the validation split; ``None``: not measured.
    bound
        Mean IU that the ground truth itself has at the net's stride, see :mod:`fullconv.geometry.bound`.
    curve
        (step, value of the chosen metric) of the last stage's measurements.
    stage
        The last stage's record, as in ``result.json``.
    iu, pixels
        Of the classes by name on the validation split: IU (``None`` without ground truth) and pixels of ground truth.
    waiting
        Share of the time of all steps in which they waited for images.
    workers, cores
        Processes that read, and the machine's processors.
    stride, balanced
        Of the net; whether classes are balanced already.
    """

    train: float | None
    validation: float | None
    bound: float | None
    curve: Sequence[tuple[int, float]]
    stage: Mapping[str, Any]
    iu: Mapping[str, float | None] = field(default_factory=dict)
    pixels: Mapping[str, int] = field(default_factory=dict)
    waiting: float = 0.0
    workers: int = 0
    cores: int = 1
    stride: int = 8
    balanced: bool = False


@dataclass(frozen=True)
class Limit:
    """One thing that limits a run, and what to try.

    Attributes
    ----------
    kind
        ``one class``, ``over-fitting``, ``under-fitting``, ``length``, ``classes``, ``stride``, ``images`` or ``nothing``.
    what, advice
        In words, with the numbers; the keys and values to try.
    """

    kind: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}; try {self.advice}"


def verdict(facts: Facts) -> list[Limit]:
    """Return what limits a run, what costs most first; one of the kind ``nothing`` where no rule speaks.

    Examples
    --------
    >>> facts = Facts(0.8, 0.4, 0.95, [(5, 0.3), (10, 0.4)], {"steps": 10, "ended": "steps", "kept": {"step": 10}})
    >>> [limit.kind for limit in verdict(facts)]
    ['over-fitting', 'length']
    """
    rules: tuple[Callable[[Facts], Iterator[Limit]], ...] = (one_answer, fitting, length, classes, stride, images)
    found = [limit for rule in rules for limit in rule(facts)]
    return found or [Limit("nothing", "nothing stands out", "more training images, or a larger backbone (`fullconv models`)")]


def one_answer(facts: Facts) -> Iterator[Limit]:
    """Say where one class alone is found of several that have ground truth: the net gives the same answer everywhere."""
    only = _only_answer(facts)
    if only is None:
        return
    balance = "a lower train.optimizer.learning_rate, more steps"
    advice = balance if facts.balanced else f"train.class_weights: balanced, train.loss: dice, {balance}"
    yield Limit("one class", f"the net predicts nothing but {only} on validation images", advice)


def fitting(facts: Facts) -> Iterator[Limit]:
    """Compare training images with validation images: a gap is over-fitting, both low is under-fitting."""
    train, validation = facts.train, facts.validation
    if train is None or validation is None:
        return
    numbers = f"mean IU {_percent(train)} on training images and {_percent(validation)} on validation images"
    if train - validation > GAP:
        yield Limit(
            "over-fitting",
            numbers,
            "more training images, stronger data.augment (scale: [0.5, 2.0], color: 0.4, flip: true) or model.dropout: 0.5",
        )
    elif _under_fits(facts):
        again = "a higher train.optimizer.learning_rate or a larger backbone, if more steps do not help"
        if _is_short(facts):
            again = f"more steps before anything else ({_trained(facts)})"
        yield Limit("under-fitting", f"{numbers}: the net has not learned its own images", again)


def _under_fits(facts: Facts) -> bool:
    """Return whether the scores on training and validation images are low, and alike."""
    train, validation = facts.train, facts.validation
    if train is None or validation is None:
        return False
    return train - validation <= GAP and train < LOW * (facts.bound or 1.0)


def _is_short(facts: Facts) -> bool:
    """Return whether the last stage had so few steps or measurements that nothing can be said of its course."""
    return int(facts.stage["steps"]) < FEW_STEPS or len(facts.curve) < FEW_MEASUREMENTS


def _trained(facts: Facts) -> str:
    steps, measured = int(facts.stage["steps"]), len(facts.curve)
    return f"this stage had {steps} and {measured} measurement{'s' * (measured != 1)}"


def length(facts: Facts) -> Iterator[Limit]:
    """Say whether the last stage was still rising at its end, or was at its best long before.

    That a later model was no better means little of a stage that was short, or of a net that has not learned its own images.
    """
    steps, kept = int(facts.stage["steps"]), facts.stage.get("kept", {})
    values = [value for _, value in facts.curve]
    if len(values) < 2:
        return
    third = max(1, len(values) // 3)
    gained = values[-1] - max(values[:-third])
    unit = kept.get("metric", "mean_iu")
    if gained > RISE and facts.stage.get("ended") != "patience":
        longer = (
            "twice train.minutes" if facts.stage.get("ended") == "minutes" else f"twice the steps ({2 * steps} in this stage)"
        )
        yield Limit("length", f"{unit} still rose by {100 * gained:.1f} points at the end of {steps} steps", longer)
    elif kept.get("keep") == "best" and kept["step"] <= steps / 2 and _peaked(values) and not _under_fits(facts):
        what = f"the best model is that of step {kept['step']} of {steps}, none after it was better"
        if _is_short(facts):
            yield Limit("length", f"{what}, which so short a stage does not prove", f"more steps ({_trained(facts)})")
            return
        yield Limit("length", what, f"fewer steps ({kept['step']} in this stage) or a lower train.optimizer.learning_rate")


def classes(facts: Facts) -> Iterator[Limit]:
    """Name the classes that have ground truth and are never found."""
    missed = [name for name, iu in facts.iu.items() if iu == 0 and facts.pixels.get(name, 0)]
    if not missed or _only_answer(facts) is not None:
        return
    total = sum(facts.pixels.values())
    told = [f"{name} ({facts.pixels[name]:,} of {total:,} pixels of ground truth)" for name in missed]
    balance = "a larger data.scale or crops, and more images that show them"
    advice = balance if facts.balanced else f"train.class_weights: balanced, then {balance}"
    yield Limit("classes", f"never found: {some(told)}", advice)


def stride(facts: Facts) -> Iterator[Limit]:
    """Say where the net is near what labels of its stride can reach."""
    if facts.bound is None or facts.validation is None or facts.stride <= 4 or facts.validation < NEAR_BOUND * facts.bound:
        return
    if facts.validation >= PERFECT or _only_answer(facts) is not None:
        return
    reach = f"labels at stride {facts.stride} reach a mean IU of {_percent(facts.bound)}"
    what = f"{reach}, and the net is at {_percent(facts.validation)}"
    yield Limit("stride", what, f"a finer net: model.name fcn{facts.stride // 2}s-…, or a larger data.scale")


def images(facts: Facts) -> Iterator[Limit]:
    """Say where steps wait for their images."""
    if facts.waiting <= WAITS:
        return
    what = f"steps waited for images {100 * facts.waiting:.0f} % of their time"
    if facts.workers < facts.cores - 1 or facts.workers == 0:
        yield Limit("images", what, f"data.workers: {max(facts.workers + 1, facts.cores - 1)}, which changes no result")
    else:
        yield Limit("images", what, "images stored at the size that they are trained at, or a disk nearer by")


def _peaked(values: Sequence[float]) -> bool:
    """Return whether the second half was worse than the best: as good once more is a plateau, no reason to train for less."""
    return max(values[len(values) // 2 :]) < max(values) - TIE


def _only_answer(facts: Facts) -> str | None:
    """Return the class that alone is found of several, where its IU is its share of the ground truth: it is all there is."""
    truth = {name: count for name, count in facts.pixels.items() if count}
    found = [name for name in truth if facts.iu.get(name)]
    if len(truth) < 2 or len(found) != 1:
        return None
    share = truth[found[0]] / sum(truth.values())
    return found[0] if abs((facts.iu[found[0]] or 0.0) - share) < ONLY else None


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
