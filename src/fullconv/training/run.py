"""A recipe, trained: ``train(recipe, out)`` fills a run folder and returns what it found."""

import contextlib
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.progress import Progress

from fullconv.data import open_dataset
from fullconv.data.folder.folder import folder_behind, label_map_behind
from fullconv.data.loading import check_augmentation
from fullconv.data.sample import Dataset
from fullconv.data.workers import ReaderEndedError
from fullconv.doctor import examine
from fullconv.errors import DataError, FullconvError
from fullconv.files import replacing
from fullconv.lock import alone_in
from fullconv.nn.backbones import use_backbone
from fullconv.nn.checkpoint import load_checkpoint, save_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.spec import Recipe
from fullconv.training.accumulate import check_parts
from fullconv.training.batch import with_batch_size
from fullconv.training.facts import facts_of
from fullconv.training.folder import RunFolder, with_precision
from fullconv.training.interrupt import Interrupted, Stopped, listening
from fullconv.training.length import with_epochs
from fullconv.training.log import MetricsFile
from fullconv.training.loggers import check_loggers
from fullconv.training.measuring import chosen_metric
from fullconv.training.precision import precision_for
from fullconv.training.process import process_kept
from fullconv.training.report import draw_curves, stage_table, write_reports
from fullconv.training.splits_file import check_splits, write_splits
from fullconv.training.stages import Run, StageResult, train_stage
from fullconv.training.start import starting_model
from fullconv.training.validation import Validation, draw_predictions, head_name
from fullconv.training.verdict import verdict

HISTORY = ("stage", "steps", "learning_rate", "precision", "kept", "heads")
"""What a checkpoint tells of each stage of its training."""
EXAMINED = 2000
"""Pairs of each split of a folder that are read before training, half a minute of a core for photographs; faults in others stop
the training when it comes to them, and it can go on when they are mended."""


@dataclass(frozen=True)
class RunResult:
    """What a run found.

    Attributes
    ----------
    out
        Its folder.
    stages
        A record for each stage, as in ``result.json``: ``stage``, ``steps``, ``learning_rate``, ``precision``, ``images``,
        ``seconds``, ``waiting`` (those of them in which steps waited for images), ``ended`` (by ``steps``, ``minutes`` or
        ``patience``), ``kept`` (``keep``, ``metric``, the ``step`` of the model that is kept, its ``value`` in 0..1 and that of
        the ``last`` step), ``heads`` (the report of each head of the kept model: four metrics in 0..1, ``iu`` by class).
    seconds
        Of all stages' training, validation left out.
    """

    out: Path
    stages: list[dict[str, Any]]
    seconds: float

    @property
    def model(self) -> Path:
        """The kept model's file, of the last stage."""
        return self.out / "model.safetensors"

    @property
    def kept(self) -> dict[str, Any]:
        """Which model of the last stage is kept: ``keep``, ``metric``, ``step``, ``value`` and ``last``."""
        return dict(self.stages[-1].get("kept", {}))

    def score(self, metric: str = "mean_iu", head: str = "semantic", stage: str | None = None) -> float:
        """Return a metric in 0..1 of a stage such as ``16s``, the last by default."""
        record = next(s for s in reversed(self.stages) if stage in (None, s["stage"]))
        return float(record["heads"][head][metric])


def train(
    recipe: Recipe,
    out: Path,
    resume: bool = False,
    console: Console | None = None,
    *,
    examined: bool = False,
    loggers: Sequence[Logger] = (),
    stop_when: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Train all stages of ``recipe`` into the folder ``out``; return their metrics.

    What training changes of the process is put back: random generators, warning filters, signals, levels of loggers.

    Parameters
    ----------
    recipe
        What to train, from :func:`fullconv.spec.recipe.load_recipe`.
    out
        The run folder, see :mod:`fullconv.training.folder`.
    resume
        Go on with the run that is there, for which its folder and the data are all that is needed; on the CPU the result is bit
        for bit that of an unbroken run.
    console
        For progress; standard error by default.
    examined
        Whether the doctor has looked at the data already, see :func:`examine_data`.
    loggers
        Loggers of Lightning's beside those of ``train.loggers``; what their ``log_metrics`` raises ends the training.
    stop_when
        Asked at every step and before every validation image; when it says so, training saves and ends as after Ctrl-C.

    Raises
    ------
    TrainingError
        When ``out`` holds another run, or none to resume, or when images changed since; when the loss is not finite.
    Interrupted
        After Ctrl-C or SIGTERM; all is saved, and the message says how to go on.
    FullconvError
        When data or weights are missing, the folder cannot be written, or another process trains in it.
    """
    check_loggers(recipe.train.loggers)
    use_backbone(recipe.model.name)  # imports a net of one's own, which the recipe's author names
    out = Path(out)
    leads = rank_zero_only.rank == 0  # type: ignore[attr-defined]  # of several processes that train together one writes
    console = (console or Console(stderr=True)) if leads else Console(quiet=True)
    folder = RunFolder(out)
    if leads and not resume:
        folder.refuse_used()  # before the data are read
    training = open_dataset(recipe.data, recipe.data.train)
    validation = open_dataset(recipe.data, recipe.data.val, own_size=True)
    check_augmentation(training, recipe.data.augment)
    metric = chosen_metric(recipe.train.metric, recipe.data.heads, validation.labels)
    if resume:
        recipe = folder.check(recipe)
        check_splits(folder.splits, recipe.data, training, validation)
    elif leads and not examined:
        examine_data(recipe, training, console)
    check_parts(recipe.train)
    with (
        process_kept(recipe.train.accelerator != "cpu" and torch.cuda.is_available()),
        alone_in(out) if leads else contextlib.nullcontext(),
        listening(stop_when) as request,
        contextlib.closing(Validation(validation, recipe.data)) as measured,
    ):
        recipe = _with_choices(recipe, training, console)
        recipe = recipe if resume else with_epochs(recipe, len(training))  # as many steps as the batch size makes of them
        if leads and not resume:
            folder.start(recipe)
            write_splits(folder.splits, recipe.data, training, validation)
        log = MetricsFile(folder.metrics, recipe.data.heads, metric.column)
        run = Run(recipe, folder, training, measured, metric, log, console, request, loggers)
        return _train_or_say_how_to_go_on(run, leads, fresh=not resume)


def _with_choices(recipe: Recipe, training: Dataset, console: Console) -> Recipe:
    """Return the recipe with what it leaves to the machine and the data; a run that goes on has all that already."""
    lines = []
    if recipe.train.precision == "auto":
        choice = precision_for(recipe.train)
        recipe, lines = with_precision(recipe, choice.precision), [str(choice)]
    if recipe.train.batch_size == "auto":
        recipe, line = with_batch_size(recipe, training)
        lines.append(line)
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    return recipe


def _train_or_say_how_to_go_on(run: Run, leads: bool, fresh: bool) -> RunResult:
    how = f"go on with: fullconv train {shlex.quote(str(run.folder.path))} --resume"
    try:
        return _train(run, leads)
    except ReaderEndedError as error:
        kept = f"{error}; what was saved last is kept; {how}"
        if error.asked:  # such as SIGTERM to the whole group of processes
            raise Interrupted(kept) from None
        raise ReaderEndedError(kept, asked=False) from error
    except FullconvError:
        if leads and fresh:
            run.folder.withdraw()
        raise
    except (Stopped, KeyboardInterrupt) as stop:
        raise Interrupted(f"{stop or 'stopped'}; {how}") from None


def examine_data(recipe: Recipe, training: Dataset, console: Console) -> None:
    """Print a folder's label map back with its counts, and what the doctor warns of; stop where training would fail.

    Raises
    ------
    DataError
        Where it would.
    """
    if folder_behind(training) is None:
        return
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading images and masks", total=None)
        found = examine(recipe.data, lambda done, of: bar.update(task, completed=done, total=of), EXAMINED)
    if len(training) > EXAMINED:
        console.print(
            f"looked into {EXAMINED} pairs of each split, spread over it; `fullconv data check RECIPE` reads all {len(training)}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(found.classes())
    for finding in (*found.of("warning"), *found.of("note")):
        console.print(f"{finding.level}: {finding.what}", highlight=False, soft_wrap=True, markup=False)
    if errors := found.of("error"):
        more = f"; {len(errors) - 1} more: `fullconv data check RECIPE` tells all" if len(errors) > 1 else ""
        raise DataError(f"{found.name}: {errors[0].what}; {errors[0].fix}{more}")


def _train(run: Run, leads: bool) -> RunResult:
    records = run.folder.finished()
    done = len(records)
    result: StageResult | None = None
    for index in range(done, len(run.recipe.train.stages)):
        labels = {head: run.training.labels[head] for head in run.recipe.data.heads}
        model, weights = starting_model(run.recipe, index, labels, run.folder, result.model if result else None)
        run.console.print(f"weights: {weights}", highlight=False, soft_wrap=True)
        result = train_stage(run, index, model, sum(record["steps"] for record in records))
        records = [*records, result.record]
        if leads:
            _save_stage(run, result, records)
    run.console.print(stage_table(records))
    if leads:
        _finish(run, records, result.model if result else None)
    return RunResult(run.folder.path, records, sum(record["seconds"] for record in records))


def _save_stage(run: Run, result: StageResult, records: list[dict[str, Any]]) -> None:
    """Write a stage's model first, then that it is done, then drop what resuming it would have needed."""
    folder = run.folder.stage(result.record["stage"])
    labels = {head: run.training.labels[head] for head in result.model.heads}
    data = {"recipe": run.recipe.name, "data": run.training.name}
    history = [data | {key: record[key] for key in HISTORY if key in record} for record in records]
    spec, known = run.recipe.data, label_map_behind(run.training)
    label_maps = {} if known is None else dict.fromkeys(spec.heads[:1], known)
    if result.last is not None:
        kept = {name: tensor.clone() for name, tensor in result.model.state_dict().items()}
        result.model.load_state_dict(result.last.weights)
        told = [*history[:-1], history[-1] | {"kept": None, "heads": result.last.heads}]
        save_checkpoint(folder / "last.safetensors", result.model, labels, told, spec.scale, spec.image, label_maps)
        result.model.load_state_dict(kept)
    save_checkpoint(folder / "model.safetensors", result.model, labels, history, spec.scale, spec.image, label_maps)
    write_reports(folder, result.reports)
    run.folder.write_result({"recipe": run.recipe.name, "finished": False, "stages": records})
    run.folder.resume_file(result.record["stage"]).unlink(missing_ok=True)


def _finish(run: Run, records: list[dict[str, Any]], trained: FCN | None) -> None:
    """Put the last stage's model and tables in front, draw curves and predictions; ``trained`` is that model if it is at hand."""
    last = run.folder.stage(records[-1]["stage"])
    for source in sorted(last.iterdir()):
        if source.is_file() and not source.name.startswith("."):
            with replacing(run.folder.path / source.name) as temporary:
                shutil.copyfile(source, temporary)
    # a file gives float32, which a net trained in half or double precision is not
    if trained is None or next(trained.parameters()).dtype != torch.float32:
        trained = load_checkpoint(run.folder.model).model
    model = trained.eval()
    draw_curves(run.folder.path / "curves.png", run.log, records)
    for head in model.heads:
        with replacing(run.folder.path / f"{head_name('predictions', head, model)}.png") as temporary:
            draw_predictions(model, run.validation.dataset, head, run.recipe.data.scale).save(
                temporary, format="PNG", compress_level=1
            )
    limits = verdict(facts_of(run, model, records))
    for limit in limits:
        run.console.print(f"what limits this run: {limit}", highlight=False, soft_wrap=True, markup=False)
    told = {"recipe": run.recipe.name, "finished": True, "stages": records}
    run.folder.write_result(told | {"verdict": [asdict(limit) for limit in limits]})
