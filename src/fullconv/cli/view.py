"""The command ``view``: a run, a report or a folder, to look through in a browser."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fullconv.cli.output import log

if TYPE_CHECKING:
    from fullconv.inference.predictor import Predictor
    from fullconv.serve.view import DataView


def view(
    place: Path,
    /,
    *,
    model: Path | None = None,
    split: str | None = None,
    head: str | None = None,
    port: int = 8001,
    browser: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Look through images in a browser: ground truth, predictions, errors, the worst first, and what the doctor found.

    It is the page of `fullconv serve`, for this machine alone; masks can be corrected and downloaded. Ctrl-C ends it.

    Parameters
    ----------
    place
        The folder of a run, of a report, or of images with masks; or a recipe.
    model
        A model.safetensors whose predictions are shown; of a run its own by default.
    split
        Such as train; val of runs and recipes, all of a folder, by default.
    head
        Which of the model's outputs; the first by default.
    port
        Of this machine; 0 takes one that is free.
    browser
        Also open the browser.
    """
    from fullconv.inference.load import load
    from fullconv.inference.runtimes import runtime

    for module in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        runtime(module, "serve")
    import webbrowser

    from fullconv.data.sample import RGB
    from fullconv.serve.service import Service
    from fullconv.serve.settings import Settings
    from fullconv.serve.view import View
    from fullconv.serve.view_app import run_view
    from fullconv.serve.view_report import ReportView, is_report

    models: tuple[tuple[str, str], ...] = ()
    found: View
    if is_report(place):
        found = ReportView(place)
    else:
        model = model or _model_of_run(place)
        predictor = load(model, "auto") if model is not None else None
        found = _open(place, predictor, split, head)
        if predictor is not None and tuple(predictor.engine.inputs) == (RGB,):  # a dropped image brings nothing else
            models = (("model", str(model)),)

    def tell(address: str) -> None:
        log(f"{address} (Ctrl-C ends it)")
        if browser:
            webbrowser.open(address)

    run_view(found, Service(Settings(models=models, batch=1)), port, tell)


def _model_of_run(place: Path) -> Path | None:
    from fullconv.training.runs import is_run

    path = place / "model.safetensors"
    return path if place.is_dir() and path.is_file() and is_run([file.name for file in place.iterdir()]) else None


def _open(place: Path, predictor: "Predictor | None", split: str | None, head: str | None) -> "DataView":
    from fullconv.cli.ground_truth import open_ground_truth
    from fullconv.data.folder.init_recipe import starter
    from fullconv.data.sample import SEMANTIC
    from fullconv.errors import DataError
    from fullconv.serve.view import DataView
    from fullconv.spec.recipe import RUN_RECIPE, load_recipe

    if not place.exists():
        raise DataError(f"no folder or recipe {place}; give a run, a report, a folder of images and masks, or a recipe")
    predictors = [predictor] if predictor is not None else []
    head = predictor.head(head) if predictor is not None else head or SEMANTIC
    with tempfile.TemporaryDirectory() as scratch:
        recipe = place / RUN_RECIPE if (place / RUN_RECIPE).is_file() else place
        if recipe.is_dir():
            recipe = Path(scratch) / "recipe.yaml"
            recipe.write_text(starter(place.absolute(), "view", preferred=False), encoding="utf-8")
        spec = load_recipe(recipe).data
        everything = dict.fromkeys((spec.train, spec.val)) if place.is_dir() and recipe.parent == Path(scratch) else (spec.val,)
        splits = (split,) if split is not None else tuple(everything)
        parts = [open_ground_truth(str(recipe), None, each, None, head, predictors, refined=False) for each in splits]
    return DataView(place.resolve().name, parts, predictor, head, spec)
