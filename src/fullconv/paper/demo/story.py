"""The paper's story in minutes, on the embedded world: a classifier becomes dense, then an FCN that gets finer and finer.

Long et al. 2015: figure 2 (a classifier made convolutional gives a heat map), table 2 and figure 4 (32s-fixed, 32s, 16s, 8s).
Everything is rendered, trained and measured here; no network, no files to download.
"""

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from fullconv.data.scenes.scenes import CLASSES, SEMANTIC, render
from fullconv.drawing import Comparison, comparison_grid
from fullconv.errors import TrainingError
from fullconv.evaluation.pages import Page
from fullconv.files import replacing
from fullconv.inference.heatmap import draw_heat_map, heat_map
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.convolutionalize import convolutionalize
from fullconv.nn.normalise import Normalise
from fullconv.nn.proof import Proof, prove
from fullconv.paper.pretrained import CROPS, Pretrained, scenes_classifier
from fullconv.paper.published import published
from fullconv.spec.recipe import load_recipe
from fullconv.training import Interrupted, RunResult, train

METRICS = ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")
TITLES = ("pixel acc.", "mean acc.", "mean IU", "f.w. IU")
STAGES = ("32s-fixed", "32s", "16s", "8s")
SHOWN = (3, 8, 21)
"""Validation scenes whose predictions are drawn."""
THING = CLASSES.index("ball")
PARTS = {"classifier", "heatmap.png", "fcn32s-fixed", "fcn8s", "stages.png"}
"""What a demo has written when it is stopped before its result."""


@dataclass(frozen=True)
class Demo:
    """What the demo found: the proof, the classifier's accuracy (0..1), percentages by stage, seconds by part."""

    out: Path
    proof: Proof
    classifier_accuracy: float
    scores: dict[str, tuple[float, ...]]
    seconds: dict[str, float]

    @property
    def in_order(self) -> bool:
        """Whether mean IU rises as in the paper: 32s-fixed < 32s < 16s <= 8s."""
        fixed, coarse, middle, fine = (self.scores[stage][2] for stage in STAGES)
        return fixed < coarse < middle <= fine

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {
            "out": str(self.out),
            "proof": dataclasses.asdict(self.proof) | {"holds": self.proof.holds},
            "classifier_accuracy": self.classifier_accuracy,
            "scores": {stage: dict(zip(METRICS, values, strict=True)) for stage, values in self.scores.items()},
            "in_order": self.in_order,
            "seconds": self.seconds,
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table's rows: stage, then measured and published percentages by metric."""
        printed = published("T2").paper
        return [
            (f"FCN-{stage}", *(f"{value:.1f}" for value in (*self.scores[stage], *printed[f"FCN-{stage}"].values())))
            for stage in STAGES
        ]

    def table(self) -> Table:
        """Return the stages beside the paper's."""
        table = Table("net", *TITLES, *(f"paper: {title}" for title in TITLES), title="Scenes, measured here; VOC, published (%)")
        for row in self.rows():
            table.add_row(*row)
        return table


def run(out: Path, console: Console | None = None) -> Demo:
    """Run the whole story into the folder ``out`` and return what it found; ``out/index.html`` shows it.

    A demo that was stopped goes on where it was; its seconds are then those of the last part of it.

    Raises
    ------
    TrainingError
        When ``out`` holds anything but a demo that was stopped.
    Interrupted
        After Ctrl-C or SIGTERM; the same command goes on.
    """
    if out.exists() and (not out.is_dir() or not {path.name for path in out.iterdir()} <= PARTS):
        raise TrainingError(f"{out} holds other things than a demo that was stopped; choose another --out, or delete it")
    console = console or Console(stderr=True)
    seconds: dict[str, float] = {}

    def timed(part: str, what: Callable[[], Any]) -> Any:
        start = time.monotonic()
        found = what()
        seconds[part] = round(time.monotonic() - start, 1)
        return found

    console.print("1/4 a classifier of single objects", highlight=False)
    classifier = timed("classifier", lambda: _classifier(out / "classifier" / "minivgg.safetensors", console))
    console.print("2/4 the classifier made convolutional", highlight=False)
    proof = timed("convolutionalize", lambda: _dense(classifier, out))
    console.print(f"    {proof}", highlight=False)
    console.print("3/4 only the last layer trained (32s-fixed)", highlight=False)
    fixed = timed("32s-fixed", lambda: _train("scenes-fcn32s-fixed-minivgg", classifier.path, out / "fcn32s-fixed", console))
    console.print("4/4 end to end: 32s, then 16s, then 8s", highlight=False)
    staged = timed("32s, 16s, 8s", lambda: _train("scenes-fcn8s-minivgg", classifier.path, out / "fcn8s", console))
    scores = {stage: _percent(fixed if stage == "32s-fixed" else staged, stage) for stage in STAGES}
    demo = Demo(out, proof, classifier.accuracy, scores, seconds)
    timed("pictures", lambda: _predictions(out))
    with replacing(out / "result.json") as temporary:
        temporary.write_text(json.dumps(demo.to_dict(), indent=2), encoding="utf-8")
    _page(demo).write(out / "index.html")
    return demo


def _classifier(path: Path, console: Console) -> Pretrained:
    classifier = scenes_classifier(path)
    console.print(
        f"    {classifier.accuracy:.0%} of {CROPS['val']} unseen images right (chance {1 / len(CLASSES):.0%})", highlight=False
    )
    return classifier


def _dense(pretrained: Pretrained, out: Path) -> Proof:
    """Make the classifier convolutional; draw where it sees a ball in a whole scene; return the proof."""
    classifier = pretrained.load()
    side = BACKBONES["minivgg"].native_side
    dense = convolutionalize(classifier, (side, side))
    image = render(0, "val", SHOWN[0], (384, 480)).image
    heat = heat_map(dense, Normalise(BACKBONES["minivgg"].preprocessing), image, THING)
    with replacing(out / "heatmap.png") as temporary:
        draw_heat_map(image, heat, CLASSES[THING]).save(temporary, format="PNG")
    return prove(dense, classifier)


def _train(recipe: str, weights: Path, out: Path, console: Console) -> RunResult:
    chosen = load_recipe(recipe, {"model": {"weights": str(weights)}})
    try:
        return train(chosen, out, resume=(out / "recipe.yaml").exists(), console=console)
    except Interrupted as stop:
        raise Interrupted(f"{str(stop).partition(';')[0]}; give the same command again to go on") from None


def _percent(result: RunResult, stage: str) -> tuple[float, ...]:
    return tuple(100 * result.score(metric, stage=stage.removesuffix("-fixed")) for metric in METRICS)


def _predictions(out: Path) -> None:
    """Draw image, ground truth and the prediction of every stage for a few scenes."""
    models = {"32s-fixed": out / "fcn32s-fixed"} | {stage: out / "fcn8s" / f"stage-{stage}" for stage in ("32s", "16s", "8s")}
    nets = {stage: load_checkpoint(folder / "model.safetensors").model for stage, folder in models.items()}
    rows: list[Comparison] = []
    for index in SHOWN:
        scene = render(0, "val", index, (96, 128))  # the size that the nets were trained at
        batch = torch.from_numpy(scene.image.transpose(2, 0, 1).copy())[None]
        with torch.inference_mode():
            found = {stage: net(batch)["semantic"][0].argmax(0).numpy() for stage, net in nets.items()}
        rows.append((scene.image, scene.semantic, found))
    with replacing(out / "stages.png") as temporary:
        comparison_grid(rows, SEMANTIC).save(temporary, format="PNG")


def _page(demo: Demo) -> Page:
    page = Page("From a classifier to dense labels")
    page.text(
        "The story of Fully Convolutional Networks for Semantic Segmentation (Long, Shelhamer, Darrell, CVPR 2015), on rendered "
        "scenes. All pictures and numbers on this page were made by one command:"
    )
    page.code("fullconv demo --out DIR")
    page.heading("1. A classifier, made convolutional")
    page.text(
        f"A small VGG learned to name the object in an image of 96×96 pixels; it gets {demo.classifier_accuracy:.0%} of unseen "
        "images right. With its dense layers written as convolutions it takes images of any size and scores every window at "
        f"once. The proof that it is the same function: {demo.proof}."
    )
    page.picture("heatmap.png", "Where the classifier, never shown a whole scene, sees a ball.")
    page.heading("2. Trained end to end, then refined by skips")
    header = ("net", *TITLES, *(f"paper: {title}" for title in TITLES))
    page.table(header, demo.rows())
    order = "comes out" if demo.in_order else "does NOT come out"
    page.text(
        f"The order of the paper's mean IU (32s-fixed < 32s < 16s ≤ 8s) {order} here. The columns on the right are the published "
        "ones of table 2: another net (VGG16) on other images (PASCAL VOC), so compare their order, not their values."
    )
    page.picture("stages.png", "The same scenes as each net labels them: finer strides find finer borders and smaller things.")
    page.picture("fcn8s/predictions.png", "FCN-8s on validation scenes: image, ground truth, prediction, error.")
    page.picture("fcn8s/curves.png", "Loss and scores over the three stages.")
    page.heading("3. Time")
    page.table(("part", "seconds"), [(part, f"{value:.0f}") for part, value in demo.seconds.items()])
    return page
