"""Run folders as training leaves them, without training: a recipe, a log, a result."""

import json
from pathlib import Path
from typing import Any

from fullconv.evaluation import METRICS
from fullconv.spec.recipe import load_recipe, to_yaml
from fullconv.training.log import MetricsFile

RECIPE = "scenes-fcn32s-minivgg"


def make_run(
    out: Path, changes: dict[str, Any] | None = None, scores: tuple[float, ...] = (0.2, 0.5, 0.4), finished: bool = True
) -> Path:
    """Make a run of ten steps a score, validated after each ten, that ended with the last; return its folder."""
    steps = 10 * len(scores)
    changes = {"name": out.name, "train": {"stages": [{"stride": 32, "steps": steps}], "batch_size": 2}, **(changes or {})}
    recipe = load_recipe(RECIPE, changes)
    out.mkdir(parents=True)
    (out / "recipe.yaml").write_text(to_yaml(recipe))
    (out / "versions.json").write_text("{}")
    log = MetricsFile(out / "metrics.csv", ("semantic",))
    for number, score in enumerate(scores, 1):
        log.append("32s", 10 * number, {"loss": 1 / number, "learning_rate": 1e-3, "images_per_second": 4.0})
        log.append("32s", 10 * number, {f"semantic_{metric}": score for metric in METRICS})
    if finished:
        (out / "result.json").write_text(
            json.dumps({"recipe": out.name, "finished": True, "stages": [stage(steps, scores[-1])]}), encoding="utf-8"
        )
    return out


def stage(steps: int, score: float) -> dict[str, Any]:
    """A record of ``result.json``: 90 s, two classes."""
    report = {
        "dataset": "scenes val",
        "images": 4,
        "absent": "skip",
        "classes": 2,
        **dict.fromkeys(METRICS, score),
        "iu": {"floor": score + 0.1, "wall": score - 0.1},
        "accuracy": {"floor": score, "wall": score},
        "pixels": {"floor": 10, "wall": 10},
    }
    record = {"stage": "32s", "steps": steps, "learning_rate": 1e-3, "precision": "32-true", "images": 2 * steps, "seconds": 90.0}
    return {**record, "heads": {"semantic": report}}
