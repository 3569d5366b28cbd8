"""The command ``view``: a run, a report or a folder, to look through in a browser."""

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fullconv.cli.output import log, log_head

if TYPE_CHECKING:
    from fullconv.inference.predictor import Predictor
    from fullconv.serve.service import Service
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

    Examples
    --------
    fullconv view run
    fullconv view photos --model run/model.safetensors
    """
    from fullconv.extras import extra_module

    for module in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        extra_module(module, "serve")
    import webbrowser

    from fullconv.inference.load import load
    from fullconv.serve.view_app import run_view
    from fullconv.serve.view_report import ReportView, is_report

    def tell(address: str) -> None:
        log(f"{address} (Ctrl-C ends it)")
        if browser:
            webbrowser.open(address)

    if is_report(place):
        run_view(ReportView(place), _service(None, None), port, tell)
        return
    path = model or model_of_run(place)
    predictor = load(path) if path is not None else None
    if predictor is not None:
        log_head(predictor.labels, head)
    run_view(open_view(place, predictor, split, head), _service(path, predictor), port, tell)


def open_view(place: Path, predictor: "Predictor | None", split: str | None, head: str | None) -> "DataView":
    """Return the images of a run, a recipe, or a folder whose layout is guessed as ``fullconv init`` guesses it."""
    from fullconv.cli.ground_truth import open_ground_truth
    from fullconv.data.folder.init_recipe import starter
    from fullconv.data.sample import SEMANTIC
    from fullconv.errors import DataError
    from fullconv.serve.view import DataView
    from fullconv.spec.recipe import RUN_RECIPE, load_recipe

    if not place.exists():
        raise DataError(f"no folder or recipe {place}; give a run, a report, a folder of images and masks, or a recipe")
    name = predictor.head(head) if predictor is not None else head or SEMANTIC
    with tempfile.TemporaryDirectory() as scratch:
        recipe = place / RUN_RECIPE if (place / RUN_RECIPE).is_file() else place
        is_guessed = recipe.is_dir()
        if is_guessed:
            recipe = Path(scratch) / "view.yaml"
            recipe.write_text(starter(place.absolute(), "view", preferred=False), encoding="utf-8")
        spec = load_recipe(recipe).data
        splits = [split] if split is not None else [spec.train, spec.val] if is_guessed else [spec.val]
        predictors = [predictor] if predictor is not None else []
        looked_at = partial(open_ground_truth, count=None, head=name, predictors=predictors, refined=not predictors)  # reads RGB
        parts = [looked_at(str(recipe), None, each) for each in dict.fromkeys(splits)]
    return DataView(place.resolve().stem, parts, predictor, name, spec)


def model_of_run(place: Path) -> Path | None:
    """Return the model of a run's folder; ``None`` while there is none, and of other folders."""
    from fullconv.training.runs import is_run

    path = place / "model.safetensors"
    return path if path.is_file() and is_run([file.name for file in place.iterdir()]) else None


def _service(path: Path | None, predictor: "Predictor | None") -> "Service":
    """Return what answers dropped images: the model, where an image is all that it reads."""
    from fullconv.data.sample import RGB
    from fullconv.serve.service import Service
    from fullconv.serve.settings import NAME, Settings

    if path is None or predictor is None or tuple(predictor.engine.inputs) != (RGB,):
        return Service(Settings(models=(), batch=1))
    name = path.absolute().parent.name
    return Service(Settings(models=((name if NAME.fullmatch(name) else "model", str(path)),), batch=1))
