"""The images with ground truth that ``evaluate`` measures on and ``tune`` searches on."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fullconv.data.sample import Dataset
    from fullconv.inference.predictor import Predictor


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

    inputs = (name for predictor in predictors for name in predictor.model.inputs)
    given = load_recipe(data).data if data.endswith((".yaml", ".yml")) else spec_of(data)
    most = count or given.val_count
    changes = {
        "root": root or given.root,
        "count": most,  # of whichever split it is; what is measured stays as it is, as some sets keep it out of training
        "val_count": most,
        "heads": (head,),
        "streams": tuple(dict.fromkeys([*inputs, *(["rgb"] if refined else [])])),
    }
    spec = given.model_copy(update=changes)
    return open_dataset(spec, split or getattr(given, default), own_size=True)
