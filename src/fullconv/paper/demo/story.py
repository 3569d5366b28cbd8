"""The story from its start to the page, and what it found."""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.table import Table

from fullconv.errors import TrainingError
from fullconv.evaluation import METRICS
from fullconv.files import replacing
from fullconv.paper.demo.page import draw_stages, page_of
from fullconv.paper.demo.start import AT_ONCE, SMALL, STAGES, Start, chosen_backbone, runs_of, start_from
from fullconv.paper.published import published
from fullconv.spec.recipe import load_recipe
from fullconv.training import Interrupted, RunResult, train

TITLES = ("pixel acc.", "mean acc.", "mean IU", "f.w. IU")
"""The metrics as this table's narrow columns call them."""
HEADER = ("net", *TITLES, *(f"paper: {title}" for title in TITLES))
TOLD = {
    "fcn32s-fixed": "only the last layer trained (32s-fixed)",
    "fcn8s": "end to end: 32s, then 16s, then 8s",
    "fcn8s-at-once": "all skips at once, with the same steps and learning rate",
}
"""What each run is, by the name of its folder."""


@dataclass(frozen=True)
class Demo:
    """What the demo found.

    Attributes
    ----------
    out
        The folder; ``index.html`` in it shows everything.
    start
        The classifier, the proof, and what it says.
    scores
        Percentages by stage, in the order of :data:`fullconv.evaluation.METRICS`.
    seconds
        By part of the story.
    """

    out: Path
    start: Start
    scores: dict[str, tuple[float, ...]]
    seconds: dict[str, float]

    @property
    def in_order(self) -> bool:
        """Whether mean IU rises as in the paper: 32s-fixed < 32s < 16s <= 8s."""
        fixed, coarse, middle, fine = (self.scores[stage][2] for stage in STAGES)
        return fixed < coarse < middle <= fine

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        proof = self.start.proof
        return {
            "out": str(self.out),
            "backbone": self.start.backbone,
            "proof": dataclasses.asdict(proof) | {"holds": proof.holds},
            **self.start.facts,
            "scores": {stage: dict(zip(METRICS, values, strict=True)) for stage, values in self.scores.items()},
            "in_order": self.in_order,
            "seconds": self.seconds,
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table's rows: stage, then measured and published percentages by metric."""
        printed = published("T2").paper
        return [
            (
                f"FCN-{stage}",
                *(f"{value:.1f}" for value in values),
                *([f"{value:.1f}" for value in printed[f"FCN-{stage}"].values()] if stage in STAGES else ["–"] * len(TITLES)),
            )
            for stage, values in self.scores.items()
        ]

    def table(self) -> Table:
        """Return the stages beside the paper's."""
        table = Table(title="Scenes, measured here; VOC, published (%)")
        for number, name in enumerate(HEADER):
            table.add_column(name, no_wrap=number == 0)
        for row in self.rows():
            table.add_row(*row)
        return table


def run(out: Path, console: Console | None = None, changes: Mapping[str, Any] = MappingProxyType({})) -> Demo:
    """Run the whole story into the folder ``out`` and return what it found; ``out/index.html`` shows it.

    A demo that was stopped goes on where it was; its seconds are then those of the last part of it.

    Parameters
    ----------
    out
        A folder that is not there yet, or that of a demo that was stopped.
    console
        For progress; standard error by default.
    changes
        Keys of all its recipes to change, as :func:`fullconv.spec.recipe.load_recipe` takes them: another seed, other scenes.

    Raises
    ------
    TrainingError
        When ``out`` holds anything but a demo that was stopped, from the same classifier.
    Interrupted
        After Ctrl-C or SIGTERM; the same command goes on.
    """
    console = console or Console(stderr=True)
    backbone = chosen_backbone()
    _check_folder(out, backbone)
    seconds: dict[str, float] = {}
    parts = len(runs_of(backbone)) + 1

    def timed(part: str, what: Callable[..., Any], *given: Any) -> Any:
        begun = time.monotonic()
        found = what(*given)
        seconds[part] = round(time.monotonic() - begun, 1)
        return found

    console.print(f"1/{parts} a classifier, {backbone}, made convolutional", highlight=False)
    start: Start = timed("classifier and heat map", start_from, backbone, out)
    console.print(f"    {start.says}\n    {start.proof}", highlight=False, soft_wrap=True)
    scores: dict[str, tuple[float, ...]] = {}
    for number, (folder, recipe) in enumerate(start.runs.items(), start=2):
        console.print(f"{number}/{parts} {TOLD[folder]}", highlight=False)
        scores |= _scores(folder, timed(TOLD[folder], _train, recipe, changes, start, out / folder, console))
    timed("pictures", draw_stages, out, start.runs)
    demo = Demo(out, start, scores, seconds)
    with replacing(out / "result.json") as temporary:
        temporary.write_text(json.dumps(demo.to_dict(), indent=2), encoding="utf-8")
    page_of(demo.start, HEADER, demo.rows(), demo.in_order, seconds).write(out / "index.html")
    return demo


def _check_folder(out: Path, backbone: str) -> None:
    """Refuse a folder that holds other things than what a demo from this backbone has written when it is stopped."""
    own = {"heatmap.png", "heatmap-together.png", "stages.png", *runs_of(backbone)}
    own |= {"classifier"} if backbone == SMALL else set()
    if out.exists() and (not out.is_dir() or not {path.name for path in out.iterdir()} <= own):
        raise TrainingError(
            f"{out} holds other things than a demo from {backbone} that was stopped; choose another --out, or delete it"
        )


def _train(recipe: str, changes: Mapping[str, Any], start: Start, out: Path, console: Console) -> RunResult:
    chosen = load_recipe(recipe, {**changes, "model": {"weights": start.weights}})
    try:
        return train(chosen, out, resume=(out / "recipe.yaml").exists(), console=console)
    except Interrupted as stop:
        raise Interrupted(f"{str(stop).partition(';')[0]}; give the same command again to go on") from None


def _scores(folder: str, result: RunResult) -> dict[str, tuple[float, ...]]:
    """Return a run's percentages by the names of its stages in the story."""
    names = {"fcn32s-fixed": {"32s-fixed": "32s"}, "fcn8s-at-once": {AT_ONCE: "8s"}}.get(folder, {s: s for s in STAGES[1:]})
    return {name: tuple(100 * result.score(metric, stage=stage) for metric in METRICS) for name, stage in names.items()}
