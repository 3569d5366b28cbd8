"""The study of a sweep in its folder: optuna's journal, and whether it is of the same sweep."""

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fullconv.errors import SpecError
from fullconv.spec import Recipe
from fullconv.training.sweep_space import dotted
from fullconv.training.sweep_trials import SweepSpec

if TYPE_CHECKING:
    import optuna


@contextlib.contextmanager
def study_in(spec: SweepSpec, base: Recipe, out: Path) -> "Iterator[optuna.Study]":
    """Yield the study in the folder, made when none is there; optuna says nothing but faults meanwhile."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    journal = out / "journal.log"
    _mend(journal)
    spoken = logging.getLogger("optuna")
    level = spoken.level
    spoken.setLevel(logging.ERROR)
    try:
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name="sweep",
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4) if spec.prune else optuna.pruners.NopPruner(),
        )
        mine = {
            "recipe": base.model_dump_json(),
            "tries": [str(tried) for tried in spec.tries],
            "seed": spec.seed,
            "metric": spec.metric,
        }
        for key, value in mine.items():
            if key not in study.user_attrs:
                study.set_user_attr(key, value)
            elif study.user_attrs[key] != value:
                raise SpecError(
                    f"{out} holds a sweep with {_difference(key, study.user_attrs[key], value)}; choose another --out"
                )
        yield study
    finally:
        spoken.setLevel(level)


def _difference(key: str, old: Any, new: Any) -> str:
    if key != "recipe":
        return f"{key} {old!r}, not {new!r}"
    before, after = dotted(json.loads(old)), dotted(json.loads(new))
    name = next(name for name in {**before, **after} if before.get(name) != after.get(name))
    return f"{name} {before.get(name)!r}, not {after.get(name)!r}"


def _mend(journal: Path) -> None:
    """Drop half a line at the end, which a process that was killed left, and its lock; this process holds the folder alone."""
    for lock in journal.parent.glob(f"{journal.name}.lock*"):
        lock.unlink()
    if journal.exists():
        content = journal.read_bytes()
        if not content.endswith(b"\n"):
            with journal.open("rb+") as handle:
                handle.truncate(content.rfind(b"\n") + 1)
