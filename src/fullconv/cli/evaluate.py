"""Commands that need truth: ``evaluate``, how good trained models are, and ``tune``, which CRF suits one."""

import json
import statistics
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from fullconv.cli.output import log, log_head, progress_bar, show
from fullconv.errors import SpecError

if TYPE_CHECKING:
    from fullconv.data.sample import Dataset
    from fullconv.evaluation import Predict
    from fullconv.inference.predictor import Predictor
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
    out: Path | None = None,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    device: str = "auto",
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
    out
        Folder of a report: report.html with scores near borders, confusions and the worst images; JSON and CSV files.
    seed
        Of the draws of images that the intervals come from.
    device
        cpu, cuda, cuda:1, mps …; auto takes cuda where there is one, else cpu.
    as_json
        Print one JSON object.
    """
    from fullconv.crf.mean_field import Refined
    from fullconv.crf.settings import read_crf
    from fullconv.evaluation import compare
    from fullconv.evaluation.report_folder import PAGE, check_folder, write_report
    from fullconv.evaluation.tables import side_by_side
    from fullconv.inference.predictor import load

    tuned = read_crf(refine) if refine is not None else None
    predictors = {name: load(path, device) for name, path in _names((checkpoint, *others)).items()}
    first = next(iter(predictors.values()))
    log_head(first.labels, head)
    head = first.head(head)
    samples = _open(data, root, split, count, head, predictors.values(), refined=tuned is not None)
    if out is not None:
        check_folder(out)
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


def tune(
    checkpoint: Path,
    /,
    *,
    data: str,
    root: Path | None = None,
    split: str | None = None,
    count: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 20,
    head: str | None = None,
    start: str = "crf",
    out: Path | None = None,
    device: str = "auto",
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Find the CRF for `--refine` that raises a trained model's scores near borders most; measure on other images afterwards.

    Each better setting is written when it is found, so what Ctrl-C leaves can be used, or gone on from with --start.

    Parameters
    ----------
    checkpoint
        A model.safetensors that training wrote.
    data
        Name of a data set (scenes, voc2012, nyudv2, siftflow and others), or a recipe whose data are meant: of your own folder.
    root
        Its folder.
    split
        Such as val; train, or what the recipe trains on, by default. Not the one that you report.
    count
        Only the first so many images. All of them together take some thirty times as long as to refine them once.
    head
        Which of the model's outputs; the first by default.
    start
        Settings to begin with: crf for the default ones, or a file that this command wrote.
    out
        The file; crf.json beside the checkpoint by default. One that is there is only written when --start names it.
    device
        cpu, cuda, cuda:1, mps …; auto takes cuda where there is one, else cpu.
    as_json
        Print one JSON object.
    """
    from fullconv.crf.settings import Tuned, read_crf
    from fullconv.crf.tune import tune as search
    from fullconv.evaluation.report import percent
    from fullconv.inference.predictor import load

    path = out or checkpoint.with_name("crf.json")
    if path.suffix.lower() != ".json":
        raise SpecError(f"--out {path}: settings are written as JSON; end the name in .json")
    if path.exists() and Path(start).resolve() != path.resolve():
        raise SpecError(f"{path} is there already; go on from it with --start {path}, or choose another --out")
    first = read_crf(start).crf
    predictor = load(checkpoint, device)
    head = predictor.head(head)
    samples = _open(data, root, split, count, head, [predictor], refined=True, default="train")
    with progress_bar("tuning") as bar:
        task = bar.add_task("images", total=None)

        def better(found: Tuned) -> None:
            found.write(path)
            values = ", ".join(f"{name} {value:g}" for name, value in found.crf.model_dump().items())
            text = (
                f"trial {found.trials}: near borders {percent(found.trimap_iu[1])}, mean IU {percent(found.mean_iu[1])}; {values}"
            )
            bar.console.print(text, highlight=False, soft_wrap=True)

        try:
            found = search(
                predictor, samples, head=head, start=first, progress=lambda n: bar.update(task, completed=n), better=better
            )
        except KeyboardInterrupt:
            left = f"{path} holds the best settings so far, --start {path} goes on from them"
            raise KeyboardInterrupt(f"stopped; {left if path.exists() else 'before the first trial was done'}") from None
    found.write(path)
    if as_json:
        show(found.model_dump_json())
    near, whole = (" and ".join(map(percent, pair)) for pair in (found.trimap_iu, found.mean_iu))
    log(
        f"{found.data}, {found.images} images, {found.trials} trials; mean IU without and with the CRF: near borders {near}, "
        f"everywhere {whole}; {path}"
    )
    if found.trimap_iu[1] <= found.trimap_iu[0]:
        log("note: no setting was better than none; do not use --refine with this model")


def _open(
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
    changes = {
        "root": root or given.root,
        "train": "none",
        "val": split or getattr(given, default),
        "val_count": count or given.val_count,
        "heads": (head,),
        "streams": tuple(dict.fromkeys([*inputs, *(["rgb"] if refined else [])])),
    }
    spec = given.model_copy(update=changes)
    return open_dataset(spec, spec.val, own_size=True)


def _names(paths: Sequence[Path]) -> dict[str, Path]:
    """Name each model by the last part of its path that tells it from all others; a single one by its path."""
    if len(set(paths)) < len(paths):
        raise SpecError(f"one model is given twice: {', '.join(map(str, paths))}; it can only be compared with others")
    for parts in zip(*(reversed(path.with_suffix("").parts) for path in paths), strict=False):
        if len(set(parts)) == len(paths) > 1:
            return dict(zip(parts, paths, strict=True))
    return {str(path): path for path in paths}
