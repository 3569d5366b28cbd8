"""The option ``--threshold`` of ``predict`` and ``evaluate``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from fullconv.cli.output import log, progress_bar, show_aside
from fullconv.errors import SpecError

if TYPE_CHECKING:
    from numpy import floating
    from numpy.typing import NDArray
    from torch import Tensor

    from fullconv.data.sample import Dataset
    from fullconv.inference.predictor import Predictor


def threshold_of(given: float | Literal["best"] | None, refine: str | None) -> float | None:
    """Return the threshold to load a model with; where the best one is to be found, any.

    Raises
    ------
    SpecError
        When a CRF is asked for as well.
    """
    if refine is not None and given is not None:
        raise SpecError("--refine finds the most probable labels; give it or --threshold, not both")
    return 0.5 if given == "best" else given


def take_best(
    given: float | Literal["best"] | None, predictors: Mapping[str, "Predictor"], samples: "Dataset", head: str
) -> None:
    """Let each model take its best threshold, where that is what was asked for; see :func:`_search`."""
    for name, predictor in predictors.items() if given == "best" else ():
        _search(name, predictor, samples, head)


def _search(name: str, predictor: "Predictor", samples: "Dataset", head: str) -> None:
    """Set a model's threshold to the one that its class is found best with, and show how it was chosen."""
    from fullconv.evaluation.thresholds import threshold_curve

    one = predictor.labels[head].foreground or 0

    def probability(inputs: Mapping[str, "Tensor"]) -> "NDArray[floating]":
        return predictor.logits(inputs)[head][0].float().softmax(0)[one].cpu().numpy()

    with progress_bar("thresholds") as bar:
        task = bar.add_task("images", total=len(samples))
        curve = threshold_curve(probability, samples, head, lambda done, of: bar.update(task, completed=done))
    predictor.threshold = curve.best
    show_aside(curve.table())
    log(
        f"note: {name} is measured at its best threshold, {curve.best:g}, chosen on these images, so the scores are a little too "
        f"good; for other images give --threshold {curve.best:g}"
    )
