"""What a net sees: the first training samples of a recipe after its random changes, drawn with their masks."""

from pathlib import Path

import numpy as np

from fullconv.data import open_dataset
from fullconv.data.loading import train_loader
from fullconv.doctor.sheet import Tile, contact_sheet
from fullconv.files import replacing
from fullconv.nn.backbones import find_backbone
from fullconv.nn.normalise import normaliser, preprocessing_of
from fullconv.spec import Recipe


def show(recipe: Recipe, path: Path, count: int = 12) -> list[str]:
    """Draw the first ``count`` samples that training with this recipe and its seed sees; return their names.

    They are scaled, cropped, mirrored and coloured as the recipe says, and padded with the colour that its backbone takes for
    nothing; ignored pixels, the padding among them, are hatched. Of several inputs the first is drawn.

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
    colors = find_backbone(recipe.model.backbone).preprocessing
    first = recipe.model.inputs[0]
    loader = train_loader(
        training,
        recipe.data.model_copy(update={"workers": 0}),
        each,
        recipe.train.seed,
        steps=-(-count // each),
        replacement=recipe.train.replacement,
        fill={name: normaliser(preprocessing_of(name, colors)).mean_color for name in recipe.model.inputs},
    )
    tiles: list[Tile] = []
    for batch in loader:
        images = batch["inputs"][first].numpy().transpose(0, 2, 3, 1)
        tiles += zip(batch["names"], np.ascontiguousarray(images), batch["targets"][head].numpy(), strict=True)
    with replacing(path) as temporary:
        contact_sheet(tiles[:count], training.labels[head]).save(temporary, format="PNG")
    return [name for name, _, _ in tiles[:count]]
