"""The command ``evaluate``: how good trained models are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from fullconv.cli.output import log, log_head, progress_bar, show
from fullconv.errors import SpecError

if TYPE_CHECKING:
    from fullconv.evaluation import Predict
    from fullconv.inference.predictor import Predictor


def evaluate(
    checkpoint: Path,
    /,
    *others: Path,
    data: str,
    root: Path | None = None,
    split: str | None = None,
    count: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    head: str | None = None,
    out: Path | None = None,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Measure trained models on a data set: the paper's four metrics with their intervals, and the IU of every class.

    Parameters
    ----------
    checkpoint
        A model.safetensors that training wrote.
    others
        More of them, of the same classes: measured on the same images and compared with the first.
    data
        Name of a data set (scenes, voc2012, nyudv2, siftflow and others), or a recipe whose data are meant: of your own folder.
    root
        Its folder.
    split
        Such as val or seg11valid; val, or what the recipe says, by default.
    count
        Only the first so many images; what the recipe says, or all, by default.
    head
        Which of the models' outputs; the first by default.
    out
        Folder of a report: report.html with scores near borders, confusions and the worst images; JSON and CSV files.
    seed
        Of the draws of images that the intervals come from.
    as_json
        Print one JSON object.
    """
    from fullconv.data import open_dataset
    from fullconv.evaluation import compare
    from fullconv.evaluation.folder import PAGE, check_folder, write_report
    from fullconv.evaluation.tables import side_by_side
    from fullconv.inference.predictor import load
    from fullconv.recipe import load_recipe
    from fullconv.spec import DataSpec

    predictors = {name: load(path) for name, path in _names((checkpoint, *others)).items()}
    first = next(iter(predictors.values()))
    log_head(first.labels, head)
    head = first.head(head)
    given = load_recipe(data).data if data.endswith((".yaml", ".yml")) else DataSpec(name=data)
    changes = {
        "root": root or given.root,
        "train": "none",
        "val": split or given.val,
        "val_count": count or given.val_count,
        "heads": (head,),
        "streams": tuple(dict.fromkeys(name for predictor in predictors.values() for name in predictor.model.inputs)),
    }
    spec = given.model_copy(update=changes)
    samples = open_dataset(spec, spec.val)
    if out is not None:
        check_folder(out)
    models = {name: (_predict(predictor, head), predictor.labels[predictor.head(head)]) for name, predictor in predictors.items()}
    with progress_bar("evaluating") as bar:
        task = bar.add_task("images", total=len(samples))
        found = compare(models, samples, head=head, seed=seed, progress=lambda done, of: bar.update(task, completed=done))
    if out is not None:
        write_report(found, samples, out, head=head)
    if as_json:
        show(json.dumps(found.to_dict()))
    elif others:
        show(side_by_side(found))
    else:
        ((name, study),) = found.studies.items()
        show(study.report.table(found.intervals(name)))
    if out is not None:
        log(f"report in {out / PAGE}")


def _predict(predictor: "Predictor", head: str) -> "Predict":
    return lambda inputs: predictor.logits(inputs)[head][0].argmax(0).byte().cpu().numpy()


def _names(paths: Sequence[Path]) -> dict[str, Path]:
    """Name each model by the last part of its path that tells it from all others; a single one by its path."""
    if len(set(paths)) < len(paths):
        raise SpecError(f"one model is given twice: {', '.join(map(str, paths))}; it can only be compared with others")
    for parts in zip(*(reversed(path.with_suffix("").parts) for path in paths), strict=False):
        if len(set(parts)) == len(paths) > 1:
            return dict(zip(parts, paths, strict=True))
    return {str(path): path for path in paths}
