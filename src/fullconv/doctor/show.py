"""What a net sees: the first training samples of a recipe after its random changes, drawn with their masks."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data import open_dataset
from fullconv.data.class_pixels import class_pixels, draw_shares
from fullconv.data.images import picture_of
from fullconv.data.loading import train_loader
from fullconv.doctor.contact_sheet import Tile, contact_sheet
from fullconv.files import replacing
from fullconv.nn.backbones import use_backbone
from fullconv.nn.normalise import normaliser, preprocessing_of
from fullconv.spec import Recipe


def show(recipe: Recipe, path: Path, count: int = 12) -> list[str]:
    """Draw the first ``count`` samples that training with this recipe and its seed sees; return their names.

    They are drawn, scaled, cropped, mirrored and coloured as the recipe says, with what is pasted into them and torchvision's
    transforms, and padded with the colour that its backbone takes for nothing; ignored pixels, the padding among them, are
    hatched. Of several inputs all are drawn, depth in grey, what is near bright and holes black.

    Raises
    ------
    DataError
        When the data cannot be read.
    SpecError
        When recipe and data do not fit.
    """
    training = open_dataset(recipe.data, recipe.data.train)
    head = recipe.data.heads[0]
    each = recipe.train.images_per_step
    colors = use_backbone(recipe.model.name).preprocessing
    loader = train_loader(
        training,
        recipe.data.model_copy(update={"workers": 0}),
        each,
        recipe.train.seed,
        steps=-(-count // each),
        replacement=recipe.train.replacement,
        shares=None if recipe.train.sampling == "uniform" else draw_shares(class_pixels(training, recipe.data)),
        fill={
            name: normaliser(preprocessing_of(name, colors, recipe.model.channels_of(name))).mean_color
            for name in recipe.model.inputs
        },
    )
    tiles: list[Tile] = []
    more: list[list[NDArray[np.uint8]]] = []
    for batch in loader:
        for place, name in enumerate(batch["names"]):
            image, *others = (_drawn(batch["inputs"][stream][place].numpy()) for stream in recipe.model.inputs)
            tiles.append((name, image, batch["targets"][head][place].numpy()))
            more.append(others)
    with replacing(path) as temporary:
        contact_sheet(tiles[:count], training.labels[head], more[:count]).save(temporary, format="PNG")
    return [name for name, _, _ in tiles[:count]]


def _drawn(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return an input (C, H, W) as uint8 (H, W, 3): its first three channels, or depth in metres with 0 where it is unknown."""
    if len(image) > 1:
        return picture_of(image.transpose(1, 2, 0).astype(np.uint8))
    depth = image[0].astype(np.float64)
    known = depth > 0
    nearness = np.divide(depth[known].min(initial=np.inf), depth, out=np.zeros_like(depth), where=known)
    return np.repeat((255 * nearness).round().astype(np.uint8)[..., None], 3, axis=2)
