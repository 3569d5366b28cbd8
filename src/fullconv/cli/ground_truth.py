"""The images with ground truth that ``evaluate`` measures on and ``tune`` searches on."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fullconv.errors import SpecError

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
    from fullconv.data import DATASETS, open_dataset, spec_of
    from fullconv.spec.recipe import load_recipe

    if data not in DATASETS and Path(data).is_dir():
        raise SpecError(_folder_in_place_of_recipe(Path(data)))
    predictors = list(predictors)
    inputs = (name for predictor in predictors for name in predictor.engine.inputs)
    given = load_recipe(data).data if data.endswith((".yaml", ".yml")) else spec_of(data)
    most = count or given.val_count
    changes = {
        "root": root or given.root,
        "count": most,  # of whichever split it is; what is measured stays as it is, as some sets keep it out of training
        "val_count": most,
        "heads": (head,),
        "image": _image_of(predictors, given),
        "streams": tuple(dict.fromkeys([*inputs, *(["rgb"] if refined else [])])),
    }
    spec = with_splits_of_run(given, Path(data)).model_copy(update=changes)
    return open_dataset(spec, split or getattr(spec, default), own_size=True)


def _folder_in_place_of_recipe(folder: Path) -> str:
    """Return what to give for a folder: masks hold values, and only a recipe says which classes they are."""
    from fullconv.spec.recipe import RUN_RECIPE

    run, own = folder / RUN_RECIPE, folder.with_name(f"{folder.resolve().name}.yaml")
    what = f"--data {folder} is a folder, and takes a data set's name or a recipe, which says what the masks' values mean"
    if run.is_file() or own.is_file():
        return f"{what}: give --data {run if run.is_file() else own}"
    return f"{what}: `fullconv init {folder}` writes {own.name}, then give --data {own.name}"


def with_splits_of_run(spec: "DataSpec", recipe: Path) -> "DataSpec":
    """Return the data of a run's own recipe with the images where the run had them, whatever came since; others as they are."""
    from fullconv.data.folder.pairing import has_drawn_splits
    from fullconv.spec.recipe import RUN_RECIPE

    splits = recipe.with_name("splits.csv")
    if spec.name != "folder" or spec.root is None or recipe.name != RUN_RECIPE or not splits.is_file():
        return spec
    if not has_drawn_splits(spec.root, spec.folder):
        return spec
    folder = spec.folder.model_copy(update={"splits": splits, "folds": None, "fold": 0})
    return spec.model_copy(update={"folder": folder})


def _image_of(predictors: "list[Predictor]", given: "DataSpec") -> "ImageSpec":
    """Return how images are read: as the models learned them; how masks lie on them is the data's own."""
    learned = predictors[0].image if predictors else given.image
    if any(predictor.image != learned for predictor in predictors[1:]):
        raise SpecError("the models read other bands, ranges or pages of images, so they cannot be measured on the same ones")
    return learned.model_copy(update={"rotation": given.image.rotation})
