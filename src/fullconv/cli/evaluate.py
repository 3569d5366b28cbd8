"""``fullconv evaluate``: how good trained models are."""

import json
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from fullconv.cli.engine import NOT_SAID, Computing, pixels_in
from fullconv.cli.ground_truth import open_ground_truth
from fullconv.cli.output import log, log_head, progress_bar, show
from fullconv.cli.threshold import take_best, threshold_of
from fullconv.errors import SpecError

if TYPE_CHECKING:
    from fullconv.evaluation import Predict
    from fullconv.labels import LabelSet


def evaluate(
    checkpoint: Path,
    /,
    *others: Path,
    data: str,
    root: Path | None = None,
    split: str | None = None,
    count: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    head: str | None = None,
    absent: Literal["skip", "union", "zero"] = "skip",
    refine: str | None = None,
    threshold: float | Literal["best"] | None = None,
    out: Path | None = None,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    device: str = "auto",
    computing: Computing = NOT_SAID,
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
    absent
        What means do with classes without truth. skip: leave them out; union: only those that are not predicted either, as the
        reference's score.py, where a few stray pixels add a zero; zero: count them as 0.
    refine
        crf: measure each model with a fully connected CRF behind it too; or a file of `fullconv tune` with its settings.
    threshold
        Of models of two classes: the probability from which on a pixel is of the one that is no background, 0.5 by default; best:
        show Dice at every threshold and take the highest, which flatters on the same images.
    out
        Folder of a report: report.html with scores near borders, confusions and the worst images; JSON and CSV files.
    seed
        Of the draws of images that the intervals come from.
    device
        cpu, cuda, cuda:1, mps …; auto takes cuda where there is one, else cpu.
    computing
        By which engine.
    as_json
        Print one JSON object.
    """
    from fullconv.crf.mean_field import Refined
    from fullconv.crf.settings import read_crf
    from fullconv.evaluation import compare
    from fullconv.evaluation.report_folder import PAGE, check_folder, write_report
    from fullconv.evaluation.tables import side_by_side
    from fullconv.inference.load import load
    from fullconv.inference.threshold import check_threshold

    number = threshold_of(threshold, refine)
    tuned = read_crf(refine) if refine is not None else None
    predictors = {name: load(path, device, number) for name, path in _names((checkpoint, *others)).items()}
    first = next(iter(predictors.values()))
    log_head(first.labels, head)
    head = first.head(head)
    check_threshold(number, first.labels[head], head)
    samples = open_ground_truth(data, root, split, count, head, predictors.values(), refined=tuned is not None)
    if out is not None:
        check_folder(out)
    computing.prepare(predictors.values(), lambda: pixels_in(samples), "eager")
    take_best(threshold, predictors, samples, head)
    models: dict[str, tuple[Predict, LabelSet]] = {}
    behind = []
    for name, predictor in predictors.items():
        labels = predictor.labels[predictor.head(head)]
        models[name] = partial(predictor.labels_of, head=head), labels
        if tuned is not None:
            behind.append(Refined(predictor, head, tuned.crf))
            models[f"{name} + CRF" if others else "the model + CRF"] = behind[-1], labels
    if tuned is not None and tuned.data == samples.name:
        log(f"note: {refine} was tuned on {tuned.data} itself, so its scores are too good; tune on one split, measure on another")
    with progress_bar("evaluating") as bar:
        task = bar.add_task("images", total=len(samples))
        found = compare(
            models, samples, head=head, absent=absent, seed=seed, progress=lambda done, of: bar.update(task, completed=done)
        )
    if out is not None:
        write_report(found, samples, out, head=head)
    if as_json:
        show(json.dumps(found.to_dict()))
    elif len(models) > 1:
        show(side_by_side(found))
    else:
        ((name, study),) = found.studies.items()
        show(study.report.table(found.intervals(name)))
    if behind:
        log(f"the CRF took {statistics.fmean(second for each in behind for second in each.seconds):.2f} s an image")
    if out is not None:
        log(f"report in {out / PAGE}")


def _names(paths: Sequence[Path]) -> dict[str, Path]:
    """Name each model by the last part of its path that tells it from all others; a single one by its path."""
    if len(set(paths)) < len(paths):
        raise SpecError(f"one model is given twice: {', '.join(map(str, paths))}; it can only be compared with others")
    for parts in zip(*(reversed(path.with_suffix("").parts) for path in paths), strict=False):
        if len(set(parts)) == len(paths) > 1:
            return dict(zip(parts, paths, strict=True))
    return {str(path): path for path in paths}
