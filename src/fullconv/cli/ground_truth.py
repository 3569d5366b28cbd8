"""The images with ground truth that ``evaluate`` measures on and ``tune`` searches on."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fullconv.data.sample import Dataset
    from fullconv.inference.predictor import Predictor
    from fullconv.spec import DataSpec, ImageSpec


def open_ground_truth(
    data: str,
    root: Path | None,
    split: str | None,
    count: int | None,
    head: str,
    predictors: Iterable["Predictor"],
    *,
    refined: bool,
    default: Literal["train", "val"] = "val",
) -> "Dataset":
    """Return a split of a data set by its name or a recipe's, with the truth of ``head`` and what models and CRF read."""
    from fullconv.data import open_dataset, spec_of
    from fullconv.spec.recipe import load_recipe

    predictors = list(predictors)
    inputs = (name for predictor in predictors for name in predictor.model.inputs)
    given = load_recipe(data).data if data.endswith((".yaml", ".yml")) else spec_of(data)
    changes = {
        "root": root or given.root,
        "train": "none",
        "val": split or getattr(given, default),
        "val_count": count or given.val_count,
        "heads": (head,),
        "image": _image_of(predictors, given),
        "streams": tuple(dict.fromkeys([*inputs, *(["rgb"] if refined else [])])),
    }
    spec = given.model_copy(update=changes)
    return open_dataset(spec, spec.val, own_size=True)


def _image_of(predictors: "list[Predictor]", given: "DataSpec") -> "ImageSpec":
    """Return how images are read: as the models learned them; how masks lie on them is the data's own."""
    from fullconv.errors import SpecError

    learned = predictors[0].image
    if any(predictor.image != learned for predictor in predictors[1:]):
        raise SpecError("the models read other bands, ranges or pages of images, so they cannot be measured on the same ones")
    return learned.model_copy(update={"rotation": given.image.rotation})
