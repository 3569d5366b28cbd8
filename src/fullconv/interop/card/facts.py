"""What a card tells: from the checkpoint's header, from the folder of its run, and from reports of ``fullconv evaluate``."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml
from safetensors import safe_open

from fullconv.data.sets.cards import CARDS, Card
from fullconv.errors import DataError, SpecError
from fullconv.evaluation import METRICS
from fullconv.labels import LabelSet
from fullconv.nn.checkpoint import Checkpoint, load_checkpoint
from fullconv.nn.find_checkpoint import find_checkpoint, published_card
from fullconv.nn.hub import hub_address, sha256_of
from fullconv.spec.recipe import RUN_RECIPE, load_recipe
from fullconv.training.folder import RunFolder
from fullconv.training.validation import head_name

UNKNOWN = "unknown"
"""The hub's own word for a licence that nobody has stated."""
PAGE = "report.json"
LICENSE = re.compile(r"[a-z0-9][a-z0-9.\-]*")
"""How the hub's names of licences are formed."""


@dataclass(frozen=True)
class CardFacts:
    """What is known of a trained model.

    Attributes
    ----------
    called
        What one writes where a checkpoint is expected.
    file, sha256
        Its path and checksum.
    checkpoint
        Its content.
    precision
        Of the weights in the file, such as ``float16``.
    recipe
        Of its run, without folders of the machine that it ran on; ``None`` when the run's folder is not there.
    limits
        What the run said that limits it, in words.
    scores
        By head, as :meth:`fullconv.evaluation.Report.to_dict` gives them, with ``intervals`` where they were measured by
        ``fullconv evaluate``.
    data
        What is published about the data set that it learned from; ``None`` of one's own data.
    license
        Of the model.
    picture
        Predictions for images of the validation, from the run's folder.
    """

    called: str
    file: Path
    sha256: str
    checkpoint: Checkpoint
    precision: str
    recipe: Mapping[str, Any] | None
    limits: Sequence[str]
    scores: Mapping[str, Mapping[str, Any]]
    data: Card | None
    license: str
    picture: Path | None

    @property
    def last(self) -> Mapping[str, Any]:
        """The last stage of its history, as far as it is told; empty when there is none."""
        return self.checkpoint.history[-1] if self.checkpoint.history else {}

    @property
    def title(self) -> str:
        """The name of its recipe, else of its net."""
        return str(self.last.get("recipe") or self.last.get("published") or self.checkpoint.model.spec.name)


def gather(
    checkpoint: str | Path,
    reports: Sequence[Path] = (),
    license: str | None = None,
    called: str | None = None,
    file: Path | None = None,
) -> CardFacts:
    """Return what is known of a checkpoint.

    Parameters
    ----------
    checkpoint
        A file, a name of the hub or of an installed model.
    reports
        Folders of ``fullconv evaluate --out`` (or their ``report.json``), one for each head at most.
    license
        Of the model, as the hub calls it, such as ``apache-2.0``; by default what the card of an installed model says, else
        unknown.
    called
        What one writes to use it; the checkpoint's own name by default.
    file
        The file that is shared, where it is another form of the checkpoint, which lies in the run's folder; such as in float16.

    Raises
    ------
    WeightsError
        When the checkpoint cannot be read.
    DataError
        When a report is no report, is of several models or of other classes.
    SpecError
        When the licence is no name of the hub's form.
    """
    if license is not None and not LICENSE.fullmatch(license):
        raise SpecError(
            f"--license {license}: the hub's names are in small letters without spaces, such as apache-2.0 or cc-by-4.0"
        )
    origin = find_checkpoint(checkpoint)
    file = file or origin
    found = load_checkpoint(file)
    run = _run_of(origin, found)
    scores = {head: report for head, report in _last_heads(found).items() if head in found.labels}
    scores |= dict(_read_report(path, found.labels) for path in reports)
    is_kept = run is not None and bool(scores) and _same(run.finished()[-1]["heads"], _last_heads(found))
    picture = run.path / f"{head_name('predictions', next(iter(found.labels)), found.model)}.png" if run and is_kept else None
    return CardFacts(
        called=called or hub_address(checkpoint) or str(checkpoint),
        file=file,
        sha256=sha256_of(file),
        checkpoint=found,
        precision=_precision(file),
        recipe=_recipe(run) if run else None,
        limits=_limits(run) if run and is_kept else (),
        scores=scores,
        data=_card_of(found, run),
        license=license or _stated_license(published_card(checkpoint)) or UNKNOWN,
        picture=picture if picture is not None and picture.is_file() else None,
    )


def _stated_license(card: str | None) -> str | None:
    """Return the licence that the head of a card states, by the hub's name; ``None`` where it states none."""
    head = re.match(r"\s*---\n(.*?)\n---\s", card or "", re.DOTALL)
    try:
        stated = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError:
        return None
    found = stated.get("license") if isinstance(stated, dict) else None
    return found if isinstance(found, str) and LICENSE.fullmatch(found) else None


def _last_heads(found: Checkpoint) -> dict[str, Any]:
    return dict(found.history[-1].get("heads") or {}) if found.history else {}


def _run_of(file: Path, found: Checkpoint) -> RunFolder | None:
    """Return the folder of the run that a checkpoint lies in, if its stages are those of the checkpoint's history."""
    for folder in (file.absolute().parent, file.absolute().parent.parent):
        run = RunFolder(folder)
        if run.recipe.is_file() and run.result.is_file():
            told = [(stage.get("stage"), stage.get("steps")) for stage in found.history]
            done = [(stage["stage"], stage["steps"]) for stage in run.finished()]
            return run if told and told == done[: len(told)] else None
    return None


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _precision(file: Path) -> str:
    """Return the types of the numbers in a file of weights that are fractions."""
    names = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
    with safe_open(file, framework="pt") as content:
        types = {content.get_slice(name).get_dtype() for name in content.keys()}  # noqa: SIM118  # it is no dict
    return ", ".join(sorted(names[kind] for kind in types if kind in names))


def _recipe(run: RunFolder) -> dict[str, Any]:
    """Return a run's recipe; of paths from the root of the machine's file system only the last part is left."""
    recipe = load_recipe(run.path / RUN_RECIPE, say=lambda line: None)
    return _without_places(recipe.model_dump(mode="json"))


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_places(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_places(inner) for inner in value]
    if isinstance(value, str) and (value.startswith(("/", "~")) or re.match(r"[A-Za-z]:[\\/]", value)):
        return PurePath(value.replace("\\", "/")).name
    return value


def _limits(run: RunFolder) -> list[str]:
    told = json.loads(run.result.read_text(encoding="utf-8")).get("verdict", [])
    return [f"{limit['kind']}: {limit['what']}" for limit in told if limit["kind"] != "nothing"]


def _card_of(found: Checkpoint, run: RunFolder | None) -> Card | None:
    name = load_recipe(run.path / RUN_RECIPE, say=lambda line: None).data.name if run else ""
    told = str(found.history[-1].get("data", "")) if found.history else ""
    return CARDS.get(name or told.split(" ")[0])


def _read_report(path: Path, labels: Mapping[str, LabelSet]) -> tuple[str, dict[str, Any]]:
    """Return the head that a report is of, and its content."""
    file = path / PAGE if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if "models" in content:
            models = ", ".join(content["models"])
            raise DataError(
                f"{file} is of several models ({models}); run `fullconv evaluate` with this one alone, and give its --out"
            )
        names = tuple(content["iu"])
        if not {*METRICS, "dataset", "images", "absent", "accuracy", "pixels", "intervals"} <= set(content):
            raise KeyError("intervals")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is no report of `fullconv evaluate --out` ({type(error).__name__}: {error})") from error
    heads = [head for head, classes in labels.items() if classes.names == names]
    if not heads:
        raise DataError(
            f"{file} is of a model with the classes {', '.join(names[:5])} …, and this one has others; give its own report"
        )
    return heads[0], content
