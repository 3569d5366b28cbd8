"""What a sweep is, and what became of its trials."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fullconv.training.sweep_space import Tried

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class SweepSpec:
    """What a sweep is.

    Parameters
    ----------
    recipe
        Name or file of the recipe.
    tries
        What is tried, see :mod:`fullconv.training.sweep_space`.
    overrides
        Nested values that replace the recipe's in every trial.
    minutes
        Of the whole sweep, with everything, over all the times that it was gone on with; ``None`` for no limit.
    trials
        How many there are at most; ``None`` for no limit.
    seed
        Of the proposals, not of the trainings.
    metric
        What is to be high: one of the four metrics, of the first head, of the model that a trial leaves.
    prune
        End a trial when a validation within a stage finds less than the median of the trials before it at that step.
    """

    recipe: str
    tries: Sequence[Tried]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    minutes: float | None = None
    trials: int | None = None
    seed: int = 0
    metric: str = "mean_iu"
    prune: bool = False


@dataclass(frozen=True)
class Trial:
    """One trial.

    Parameters
    ----------
    number, params
        From 0, and its values by their dotted keys.
    status
        ``finished``, ``pruned``, ``failed`` (the loss was not finite, or memory ran out), or ``stopped``, which goes on.
    value
        The metric in 0..1; ``None`` where the trial did not finish.
    seconds
        That it took; 0 of one that was killed.
    reason
        Why it failed.
    """

    number: int
    params: dict[str, Any]
    status: str
    value: float | None
    seconds: float
    reason: str = ""

    @property
    def name(self) -> str:
        """Of its run folder."""
        return f"trial-{self.number:03}"


def trials_of(study: "optuna.Study") -> list[Trial]:
    """Return the trials of a study in their order."""
    names = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}
    return [
        Trial(
            found.number,
            dict(found.user_attrs.get("params", {})),
            names.get(found.state.name, "stopped"),
            found.value if found.state.name == "COMPLETE" else None,
            float(found.user_attrs.get("seconds", 0.0)),
            str(found.user_attrs.get("reason", "")),
        )
        for found in study.get_trials(deepcopy=False)
    ]


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the finished trial with the highest metric, the first of equals; nothing when none has finished."""
    finished = [trial for trial in trials if trial.value is not None]
    return max(finished, key=lambda trial: trial.value or 0.0, default=None)


def told(params: Mapping[str, Any]) -> str:
    """Return values as a line: the last part of each key, numbers in three digits."""
    texts = (f"{value:.3g}" if isinstance(value, float) else json.dumps(value) for value in params.values())
    return ", ".join(f"{key.rpartition('.')[2]} {text}" for key, text in zip(params, texts, strict=True))
