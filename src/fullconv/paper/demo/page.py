"""The demo's pictures of predictions and its page."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch

from fullconv.data.scenes.scenes import SEMANTIC, render
from fullconv.drawing import Comparison, comparison_grid
from fullconv.evaluation.pages import Page
from fullconv.files import replacing
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.paper.demo.start import AT_ONCE, STAGES, Start
from fullconv.paper.published import published
from fullconv.spec.recipe import RUN_RECIPE, load_recipe

SHOWN = (3, 8, 21)
"""Validation scenes whose predictions are drawn."""


def draw_stages(out: Path, runs: Collection[str]) -> None:
    """Draw image, ground truth and the prediction of every stage for a few scenes: ``stages.png``."""
    models = {"32s-fixed": out / "fcn32s-fixed"} | {stage: out / "fcn8s" / f"stage-{stage}" for stage in STAGES[1:]}
    if "fcn8s-at-once" in runs:
        models[AT_ONCE] = out / "fcn8s-at-once"
    nets = {stage: load_checkpoint(folder / "model.safetensors").model for stage, folder in models.items()}
    size = load_recipe(out / "fcn8s" / RUN_RECIPE).data.size
    assert size is not None  # our own recipes state it
    rows: list[Comparison] = []
    for index in SHOWN:
        scene = render(0, "val", index, size)  # the size that the nets were trained at
        batch = torch.from_numpy(scene.image.transpose(2, 0, 1).copy())[None]
        with torch.inference_mode():
            found = {stage: net(batch)["semantic"][0].argmax(0).numpy() for stage, net in nets.items()}
        rows.append((scene.image, scene.semantic, found))
    with replacing(out / "stages.png") as temporary:
        comparison_grid(rows, SEMANTIC).save(temporary, format="PNG")


def page_of(
    start: Start, header: Sequence[str], rows: Sequence[Sequence[str]], in_order: bool, seconds: Mapping[str, float]
) -> Page:
    """Return the page that tells the story.

    Parameters
    ----------
    start
        The classifier and what it showed.
    header, rows
        The table of all nets.
    in_order
        Whether mean IU rises as in the paper.
    seconds
        By part of the story.
    """
    page = Page("From a classifier to dense labels")
    page.text(
        "The story of Fully Convolutional Networks for Semantic Segmentation (Long, Shelhamer, Darrell, CVPR 2015). All pictures "
        "and numbers on this page were made by one command:"
    )
    page.code("fullconv demo --out DIR")
    page.heading("1. A classifier, made convolutional")
    page.text(start.says)
    page.text(
        "With its dense layers written as convolutions it takes images of any size, and scores every window of the size that it "
        f"learned at once. The proof that it is the same function, as the largest difference of two logits: {start.proof}."
    )
    for name, caption in start.pictures:
        page.picture(name, caption)
    page.heading("2. Trained end to end, then refined by skips")
    page.text(
        "The classifier's features now label every pixel of rendered scenes. In 32s-fixed only a new last layer learns; in 32s "
        "all layers do; 16s and 8s add the finer maps of earlier layers, and start from the net before."
    )
    page.table(header, rows)
    page.text(_order(in_order))
    if "fcn8s-at-once" in start.runs:
        page.text(_at_once(rows))
    page.picture("stages.png", "The same scenes as each net labels them: finer strides find finer borders and smaller things.")
    page.picture("fcn8s/predictions.png", "FCN-8s, staged, on validation scenes: image, ground truth, prediction, error.")
    page.picture("fcn8s/curves.png", "Loss and scores over the three stages.")
    page.heading("3. Time")
    page.table(("part", "seconds"), [(part, f"{value:.0f}") for part, value in seconds.items()])
    return page


def _order(in_order: bool) -> str:
    comes = "comes out" if in_order else "does NOT come out"
    return (
        f"The order of the paper's mean IU (32s-fixed < 32s < 16s ≤ 8s) {comes} here. The columns on the right are the published "
        "ones of table 2: another net (VGG16) on other images (PASCAL VOC), so compare their order, not their values."
    )


def _at_once(rows: Sequence[Sequence[str]]) -> str:
    mean_iu = {row[0]: row[3] for row in rows}
    printed = published("T2").reference
    return (
        "“At once” has all skips from the start, and as many steps as the three stages together: mean IU "
        f"{mean_iu[f'FCN-{AT_ONCE}']} beside {mean_iu['FCN-8s']} staged. The authors' own later nets, trained for much longer, "
        f"are level: {printed['FCN-8s at once']['mean IU']:g} and {printed['FCN-8s']['mean IU']:g}."
    )
