"""The batch size of a run whose recipe leaves it open (``train.batch_size: auto``): what a GPU's memory holds."""

import gc
from collections.abc import Callable, Mapping

import numpy as np
import torch

from fullconv.data.sample import Dataset, Sample
from fullconv.errors import TrainingError
from fullconv.nn.assemble import assemble
from fullconv.nn.losses.cross_entropy import cross_entropy
from fullconv.spec import Recipe
from fullconv.spec.train import AUTO_BATCH
from fullconv.training.optimizer import build_optimizer
from fullconv.training.precision import this_processor

MOST = 64
"""Images that are tried first, on each GPU."""
ROOM = 0.9
"""Share of a GPU's memory that a trial may take: images differ, and memory is lost between what is kept."""
LOOKED_AT = 8
"""Images whose sizes are looked at where nothing is cropped."""


def largest_batch(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest of ``most``, half of it, a quarter … that fits; 0 when not even 1 does.

    Parameters
    ----------
    fits
        Whether so many images fit; asked from large to small.
    most
        1 or more.

    Examples
    --------
    >>> largest_batch(lambda images: images <= 20, 64)
    16
    """
    tried = most
    while tried and not fits(tried):
        tried //= 2
    return tried


def batch_that_fits(images: int) -> int:
    """Return at most half of ``images`` (2 or more) as divides them, so that whole parts make a step of the same size.

    Examples
    --------
    >>> batch_that_fits(8), batch_that_fits(9), batch_that_fits(7)
    (4, 3, 1)
    """
    return next(part for part in range(images // 2, 0, -1) if images % part == 0)


def with_batch_size(recipe: Recipe, training: Dataset) -> tuple[Recipe, str]:
    """Return a recipe whose ``batch_size: auto`` is a number, and a line that says why.

    Raises
    ------
    TrainingError
        When a GPU does not hold a single image.
    """
    train = recipe.train
    if this_processor(train.accelerator).kind != "cuda":
        return _with(recipe, AUTO_BATCH), f"batch_size: {AUTO_BATCH}, as no GPU's memory is to be filled (train.batch_size: auto)"
    devices = (torch.cuda.device_count() if train.devices == "auto" else train.devices) * train.nodes
    size = recipe.data.augment.crop or _largest(training, recipe.data.augment.scale[1])
    heads = {head: len(training.labels[head]) for head in recipe.data.heads}
    most = 2 ** int(np.log2(min(MOST, max(1, len(training) // devices))))
    found = largest_batch(lambda images: _fits(recipe, training[0], heads, images, size), most)
    where = f"{size[0]}×{size[1]} px on {torch.cuda.get_device_name()}"
    if not found:
        raise TrainingError(f"not even one image of {where} fits; set a smaller data.augment.crop or data.scale")
    line = f"batch_size: {found * devices}, the most of {most}, {most // 2} … images of {where} that fit (train.batch_size: auto)"
    return _with(recipe, found * devices), f"{line}; learning rates are for a batch size: with a larger one they may rise"


def _with(recipe: Recipe, images: int) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"batch_size": images})})


def _largest(training: Dataset, factor: float) -> tuple[int, int]:
    """Return (height, width) that some of the images fit into, at their largest."""
    chosen = np.unique(np.linspace(0, len(training) - 1, LOOKED_AT).round().astype(int))
    sizes = [training[int(index)].size for index in chosen]
    height, width = (round(factor * max(size[axis] for size in sizes)) for axis in (0, 1))
    return height, width


def _fits(recipe: Recipe, sample: Sample, heads: Mapping[str, int], images: int, size: tuple[int, int]) -> bool:
    """Return whether a step of the finest stage fits: its net, gradients and the optimiser's own memory."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    try:
        _step(recipe, sample, heads, images, size)
        return bool(torch.cuda.max_memory_reserved() <= ROOM * torch.cuda.get_device_properties(0).total_memory)
    except torch.OutOfMemoryError:
        return False
    finally:
        gc.collect()
        torch.cuda.empty_cache()


def _step(recipe: Recipe, sample: Sample, heads: Mapping[str, int], images: int, size: tuple[int, int]) -> None:
    device = torch.device("cuda")
    model = assemble(recipe.model, heads).to(device)
    inputs = {
        stream: torch.zeros(images, len(image), *size, dtype=image.dtype, device=device)
        for stream, image in sample.inputs.items()
    }
    optimizer = build_optimizer(model, recipe.train.optimizer, 1e-9)
    precision = recipe.train.precision
    mixed = torch.float16 if precision.startswith("16") else torch.bfloat16
    with torch.autocast("cuda", mixed, enabled=not precision.startswith(("32", "64"))):
        logits = model(inputs)
    target = torch.zeros(images, *size, dtype=torch.int64, device=device)
    torch.stack([cross_entropy(each, target) for each in logits.values()]).sum().backward()
    optimizer.step()
