"""A sweep: a recipe trained with other values of some keys, chosen by optuna; every trial is a run folder of its own.

::

    OUT/journal.log                     optuna's own journal: what was tried, what came out; it makes a sweep go on after a break
    OUT/trial-000/  trial-000.log       a run, and what it said
    OUT/trials.csv  sweep.png           all trials, and the metric over each key
    OUT/best.yaml                       the best trial's recipe, ready to train

The first trial is the recipe as it is, where its own values are among those to try. The others come from optuna's tree-structured
Parzen estimator, which draws at random for the first ten; where only lists are given, every combination is tried once in an
order drawn by the seed. A proposal depends on the seed, its number and the trials before it, so the same seed proposes the same
trials, also after a break. A trial that was interrupted goes on from its last save.
"""

import itertools
import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.loggers import Logger
from rich.console import Console

from fullconv.data import open_dataset
from fullconv.errors import SpecError, TrainingError
from fullconv.lock import alone_in
from fullconv.spec import Recipe
from fullconv.spec.recipe import RUN_RECIPE
from fullconv.training.interrupt import Interrupted
from fullconv.training.run import examine_data, train
from fullconv.training.sweep_space import Range, Tried, check_space, dotted, recipe_with
from fullconv.training.sweep_study import study_in
from fullconv.training.sweep_trials import SweepSpec, Trial, best_of, told, trials_of

if TYPE_CHECKING:
    import optuna

LARGEST_SEED = 2**32 - 1


def sweep(
    spec: SweepSpec,
    out: Path,
    console: Console | None = None,
    progress: Callable[[int, int, int], None] = lambda trial, step, steps: None,
) -> list[Trial]:
    """Try values until the minutes or the trials are used up; return all trials in their order.

    Parameters
    ----------
    spec
        What to try, for how long.
    out
        The sweep's folder; a sweep of the same recipe, tries, seed and metric that is there goes on.
    console
        For a line a trial; standard error by default.
    progress
        Called with (trial, steps done, steps) whenever a trial writes a row of its log.

    Raises
    ------
    SpecError
        When a key or a value does not fit, optuna is not installed, or ``out`` holds another sweep; nothing was trained then.
    Interrupted
        After Ctrl-C or SIGTERM; the same command goes on.
    FullconvError
        When training cannot start at all.
    """
    _check(spec)
    console = console or Console(stderr=True)
    base = recipe_with(spec.recipe, spec.overrides, {})
    with alone_in(out), study_in(spec, base, out) as study:
        examine_data(base, open_dataset(base.data, base.data.train), console)
        return _Sweep(spec, base, out, study, console, progress).run()


def _check(spec: SweepSpec) -> None:
    try:
        import optuna  # noqa: F401  # only whether it is there
    except ImportError:
        raise SpecError("a sweep needs optuna: pip install 'fullconv[sweep]'") from None
    if not spec.tries:
        raise SpecError("nothing to try; give --try KEY=LOW:HIGH or KEY=A,B, such as train.optimizer.learning_rate=1e-4:1e-2")
    if spec.minutes is None and spec.trials is None:
        raise SpecError("a sweep has no end by itself; give --minutes, --trials or both")
    check_space(spec.recipe, spec.overrides, spec.tries)
    train_spec = recipe_with(spec.recipe, spec.overrides, {}).train
    if train_spec.devices not in (1, "auto") or train_spec.nodes > 1 or train_spec.strategy != "auto":
        raise SpecError("a sweep trains every trial in one process; leave train.devices, train.nodes and train.strategy out")
    if spec.prune and not train_spec.validate_every:
        raise SpecError("--prune compares trials where they are validated within a stage; give --train.validate_every STEPS")


class _Sweep:
    """A sweep that runs: its study, its clock, its trials one after the other."""

    def __init__(
        self,
        spec: SweepSpec,
        base: Recipe,
        out: Path,
        study: "optuna.Study",
        console: Console,
        progress: Callable[[int, int, int], None],
    ) -> None:
        self.spec, self.base, self.out, self.study, self.console, self.progress = spec, base, out, study, console, progress
        self.begun, self.used_before = time.monotonic(), float(study.user_attrs.get("seconds", 0.0))

    @property
    def used(self) -> float:
        """Seconds of the sweep so far."""
        return self.used_before + time.monotonic() - self.begun

    def over(self) -> bool:
        """Whether the minutes are used up."""
        return self.spec.minutes is not None and self.used >= 60 * self.spec.minutes

    def run(self) -> list[Trial]:
        grid = self._grid()
        most = min(self.spec.trials or math.inf, len(grid) or math.inf)
        while not self.over():
            known = self.study.get_trials(deepcopy=False)
            waiting = next((trial.number for trial in known if not trial.state.is_finished()), None)
            if waiting is None and (len(known) >= most or self._too_late()):
                break
            number = len(known) if waiting is None else waiting
            if not self._train(number, self._propose(number, grid, new=waiting is None)):
                break
        self._remember()  # what was too short for a trial now is so for the same command again
        return trials_of(self.study)

    def _grid(self) -> list[dict[str, Any]]:
        """Return all combinations where only lists are tried, the recipe's own first and the others in an order by the seed."""
        lists = [tried for tried in self.spec.tries if not isinstance(tried, Range)]
        if len(lists) < len(self.spec.tries):
            return []
        keys = [tried.key for tried in lists]
        found = [dict(zip(keys, values, strict=True)) for values in itertools.product(*(tried.values for tried in lists))]
        random.Random(self.spec.seed).shuffle(found)
        own = self._own()
        return sorted(found, key=lambda params: params != own)

    def _own(self) -> dict[str, Any] | None:
        """Return the recipe's own values of what is tried; nothing when one is not among those to try."""
        values = dotted(self.base.model_dump(mode="json"))
        own = {tried.key: values.get(tried.key) for tried in self.spec.tries}
        return own if all(own[tried.key] in tried for tried in self.spec.tries) else None

    def _propose(self, number: int, grid: Sequence[Mapping[str, Any]], new: bool) -> "optuna.Trial":
        """Return trial ``number`` with its values, drawn from the seed and its number, so that a break changes nothing."""
        import optuna

        seed = int(random.Random(f"{self.spec.seed} {number}").random() * LARGEST_SEED)
        self.study.sampler = optuna.samplers.TPESampler(seed=seed)
        if new:
            fixed = grid[number] if grid else self._own() if number == 0 else None
            if fixed is not None:
                self.study.enqueue_trial({key: _stored(tried, fixed[key]) for key, tried in self._tries().items()})
            return self.study.ask()
        if self.study.get_trials(deepcopy=False)[number].state == optuna.trial.TrialState.WAITING:
            return self.study.ask()
        return optuna.Trial(self.study, self.study.get_trials(deepcopy=False)[number]._trial_id)

    def _tries(self) -> dict[str, Tried]:
        return {tried.key: tried for tried in self.spec.tries}

    def _train(self, number: int, trial: "optuna.Trial") -> bool:
        """Train one trial to its end; return whether it came to one before the minutes were used up."""
        import optuna

        params = {key: _suggest(trial, tried) for key, tried in self._tries().items()}
        trial.set_user_attr("params", params)
        recipe = recipe_with(self.spec.recipe, self.spec.overrides, {**params, "train.devices": 1})
        recipe = recipe.model_copy(update={"name": f"{self.base.name}-{number:03}"})
        self.console.print(f"trial {number}: {told(params)}", highlight=False, soft_wrap=True)
        begun = time.monotonic()
        state, value, reason = optuna.trial.TrialState.COMPLETE, None, ""
        try:
            value = self._run(recipe, number, trial)
        except Interrupted:
            self._remember()
            if not self.over():
                raise Interrupted(f"stopped in trial {number}; the same command goes on with it") from None
            self.console.print(f"trial {number}: the minutes are used up", highlight=False)
            return False
        except optuna.TrialPruned:
            state = optuna.trial.TrialState.PRUNED
        except (TrainingError, torch.OutOfMemoryError, MemoryError) as error:
            if isinstance(error, TrainingError) and not (self.out / f"trial-{number:03}" / "metrics.csv").exists():
                raise  # nothing was trained: it would be so with every trial
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            state = optuna.trial.TrialState.FAIL
        before = float(trial.user_attrs.get("seconds", 0.0))
        trial.set_user_attr("seconds", before + time.monotonic() - begun)
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, value, state)
        self._remember()
        self._say(trials_of(self.study))
        return True

    def _run(self, recipe: Recipe, number: int, trial: "optuna.Trial") -> float:
        folder = self.out / f"trial-{number:03}"
        with (self.out / f"{folder.name}.log").open("a", encoding="utf-8") as handle:
            result = train(
                recipe,
                folder,
                resume=(folder / RUN_RECIPE).exists(),
                console=Console(file=handle, width=120),
                examined=True,
                loggers=[_Watch(self, recipe, number, trial)],
                stop_when=self.over,
            )
        return result.score(self.spec.metric, recipe.data.heads[0])

    def _too_late(self) -> bool:
        """Whether even the shortest trial so far took longer than what is left."""
        finished = [trial.seconds for trial in trials_of(self.study) if trial.status == "finished"]
        return self.spec.minutes is not None and bool(finished) and self.used + min(finished) > 60 * self.spec.minutes

    def _remember(self) -> None:
        self.study.set_user_attr("seconds", self.used)

    def _say(self, trials: Sequence[Trial]) -> None:
        last, best = trials[-1], best_of(trials)
        found = last.status if last.value is None else f"{self.spec.metric} {100 * last.value:.2f} %"
        so_far = f" · best {100 * best.value:.2f} %, trial {best.number}" if best and best.value is not None else ""
        left = f" · {max(self.spec.minutes - self.used / 60, 0):.1f} min left" if self.spec.minutes else ""
        reason = f": {last.reason}" if last.reason else ""
        line = f"trial {last.number}: {found}{reason} · {last.seconds / 60:.1f} min{so_far}{left}"
        self.console.print(line, highlight=False, soft_wrap=True)


class _Watch(Logger):
    """What a trial's training tells: its steps for the bar, and its validations for the pruner."""

    def __init__(self, sweep: _Sweep, recipe: Recipe, number: int, trial: "optuna.Trial") -> None:
        super().__init__()
        self.sweep, self.number, self.trial = sweep, number, trial
        self.key = f"{recipe.data.heads[0]}_{sweep.spec.metric}"
        self.steps = sum(int(stage.steps or 0) for stage in recipe.train.stages)
        self._told, self._before, self._last = time.monotonic(), 0, 0

    @property
    def name(self) -> str:
        """Lightning asks for one."""
        return "sweep"

    @property
    def version(self) -> int:
        """Lightning asks for one."""
        return self.number

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the sweep chose them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Take a row of the log; raise ``optuna.TrialPruned`` when the trial is to end."""
        import optuna

        now = step or 0
        if now < self._last:  # the next stage
            self._before += self._last
        self._last = now
        at = self._before + now
        self.sweep.progress(self.number, at, self.steps)
        if time.monotonic() - self._told > 30:
            self._told = time.monotonic()
            self.sweep._remember()
        value = metrics.get(self.key)
        if not self.sweep.spec.prune or value is None or math.isnan(value) or at >= self.steps:
            return
        if at not in self.trial.study.get_trials(deepcopy=False)[self.number].intermediate_values:  # of before a break
            self.trial.report(value, at)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def _stored(tried: Tried, value: Any) -> Any:
    """Return a value as optuna holds it: a number of a range as it is, an entry of a list as JSON."""
    return value if isinstance(tried, Range) else json.dumps(value)


def _suggest(trial: "optuna.Trial", tried: Tried) -> Any:
    if not isinstance(tried, Range):
        return json.loads(trial.suggest_categorical(tried.key, [json.dumps(value) for value in tried.values]))
    if tried.whole:
        return trial.suggest_int(tried.key, int(tried.low), int(tried.high), log=tried.log)
    return trial.suggest_float(tried.key, tried.low, tried.high, log=tried.log)
