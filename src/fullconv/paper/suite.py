"""Run experiments one after the other into a folder: skip what is finished, write ``result.json`` and ``index.html``."""

import datetime
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fullconv.errors import DataError, FullconvError, SpecError, TrainingError, WeightsError
from fullconv.evaluation.pages import Page
from fullconv.files import replacing
from fullconv.lock import alone_in
from fullconv.paper import bound, claims, figure5, outlines, shift, table1, table2, table3, table4, table5, upsampling
from fullconv.paper.experiment import SMALL, Context, Plan, machine
from fullconv.paper.findings import HEADER, Finding, not_run
from fullconv.paper.identity import IDENTITY, identity
from fullconv.paper.published import published
from fullconv.paper.verdicts import RULE
from fullconv.training import Interrupted


@dataclass(frozen=True)
class Experiment:
    """One experiment of the paper.

    Parameters
    ----------
    title
        What it is about, and where the paper has it.
    plan
        What it trains for a seed, as data; nothing is trained by it.
    run
        Trains that and measures it.
    minutes
        That its trainings take on Scenes on two CPU cores with one seed, about; what a budget is compared with.
    """

    title: str
    plan: Callable[[Context, int], Plan]
    run: Callable[[Context], Finding]
    minutes: float


OTHER = "choose another --out, or delete that folder"
FULL = 0.9
"""The share of the recipes' steps below which a result says how short its trainings were."""
EXPERIMENTS: dict[str, Experiment] = {
    "T1": Experiment("AlexNet, VGG16 and GoogLeNet as FCNs (table 1)", table1.plan, table1.run, 4),
    "T2": Experiment("32s-fixed, 32s, 16s, 8s, at once; what each skip adds (table 2, figure 4)", table2.plan, table2.run, 8),
    "upsampling": Experiment("fixed against learned deconvolution (section 3.3)", upsampling.plan, upsampling.run, 6),
    "T3": Experiment("FCN-8s against classified regions: scores and cost (table 3)", table3.plan, table3.run, 8),
    "T4": Experiment("colour, depth and HHA, fused early and late (table 4)", table4.plan, table4.run, 8),
    "F5": Experiment("patchwise training is loss sampling (section 4.3, figure 5)", figure5.plan, figure5.run, 4),
    "T5": Experiment("two tasks by one net: semantic and geometric classes (section 5, table 5)", table5.plan, table5.run, 8),
    "shift": Experiment("shift-and-stitch, à trous and deconvolution (section 3.2)", shift.plan, shift.run, 5),
    "claims": Experiment(
        "dense against sliding; momentum, balancing, augmentation (sections 3.1, 4)", claims.plan, claims.run, 7
    ),
    "bound": Experiment("the IU that coarse outputs could reach at most (journal version)", bound.plan, bound.run, 1),
    "outlines": Experiment("coarse outlines before and after a fully connected CRF", outlines.plan, outlines.run, 6),
}


def choose(names: Sequence[str]) -> list[str]:
    """Return the experiments that ``names`` mean, in the paper's order; all of them for none.

    Raises
    ------
    SpecError
        For a name that no experiment has.

    Examples
    --------
    >>> choose(["bound", "t2"])
    ['T2', 'bound']
    """
    known = {name.lower(): name for name in EXPERIMENTS}
    for name in names:
        if name.lower() not in known:
            raise SpecError(f"no experiment is called {name!r}; there are {', '.join(EXPERIMENTS)}")
    chosen = {known[name.lower()] for name in names} or set(EXPERIMENTS)
    return [name for name in EXPERIMENTS if name in chosen]


def _longest() -> float:
    """Return the minutes of the longest experiment at the recipes' own steps."""
    return max(experiment.minutes for experiment in EXPERIMENTS.values())


def scale_of(budget: float | None) -> float:
    """Return the factor on all training steps that a budget of minutes gives; one for all experiments, as they share nets."""
    return 1.0 if budget is None else budget / _longest()


def run_experiment(name: str, context: Context, budget: float | None = None) -> Finding:
    """Return what experiment ``name`` finds, from ``result.json`` when it was finished before with the same settings.

    Parameters
    ----------
    name
        A key of :data:`EXPERIMENTS`.
    context
        Where it runs; its name and scale are set here.
    budget
        Minutes on two cores for each seed, about: scales all training steps by this over the longest experiment's. One factor
        for all of them, as they share trained nets.

    Raises
    ------
    TrainingError
        When the folder holds this experiment with other settings.
    Interrupted
        After Ctrl-C or SIGTERM; the same command goes on.
    """
    experiment = EXPERIMENTS[name]
    context = context.named(name, scale_of(budget))
    stored = context.folder / "result.json"
    settings = context.settings() | _identity(experiment, context)
    finding = _finished(stored, settings)
    if finding is not None:
        context.say(f"{name} is finished already ({stored})")
        write_page(context.out)  # which may have failed, or is lost
        return finding
    context.say(f"{name}: {experiment.title}")
    start = time.monotonic()
    try:
        with alone_in(context.out):
            finding = experiment.run(context)
    except (DataError, WeightsError, SpecError) as error:
        if _measured_before(stored):
            raise FullconvError(f"{error}; what was measured before stays in {stored}") from error
        finding = not_run(name, str(error), context.data)
    except KeyboardInterrupt as stop:
        raise Interrupted(f"{str(stop).partition(';')[0] or 'stopped'}; give the same command again to go on") from None
    if context.scale < FULL:
        share = f"Trainings had {context.scale:.0%} of the recipes' steps (--budget)"
        note = f"{share}: scores and verdicts of so short ones say little."
        finding = replace(finding, notes=(*finding.notes, note))
    content = {
        "experiment": name,
        "title": experiment.title,
        "complete": finding.complete,
        "settings": settings,
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "judged": RULE,
        "seconds": round(time.monotonic() - start, 1),
        **finding.to_dict(),
    }
    with replacing(stored) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with replacing(context.folder / "result.md") as temporary:
        temporary.write_text(_heading(content) + finding.markdown(name), encoding="utf-8")
    write_page(context.out)
    return finding


def _identity(experiment: Experiment, context: Context) -> dict[str, Any]:
    """Return what the numbers follow from beside the settings; nothing for data that the experiment has no plan for."""
    try:
        plans = [experiment.plan(context, seed) for seed in range(context.seeds)]
    except SpecError:  # which the experiment tells as well
        return {}
    return identity(plans)


def _finished(path: Path, settings: Mapping[str, Any]) -> Finding | None:
    content = _read(path)
    if content is None or not _measured_before(path):  # nothing that could be mixed up
        return None
    for key, value in settings.items():
        before = content["settings"].get(key)
        if before != value and key != "root":  # data that were moved are the same
            advice = "choose another --out, as its trained nets are theirs too" if key in IDENTITY else OTHER
            raise TrainingError(f"{path.parent} holds {content['experiment']} with {key} {before!r}, not {value!r}; {advice}")
    # verdicts of another rule are made anew from the trained nets
    return Finding.from_dict(content) if content["complete"] and content.get("judged") == RULE else None


def _measured_before(path: Path) -> bool:
    content = _read(path)
    return content is not None and any(row["measured"] for row in content["rows"])


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        Finding.from_dict(content), content["complete"], content["title"]
        _heading(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FullconvError(f"{path} is damaged ({' '.join(str(error).split())}); delete it to measure again") from error
    return dict(content)


def write_page(out: Path) -> None:
    """Write ``index.html`` of everything in the folder ``out``."""
    page = Page("Fully Convolutional Networks for Semantic Segmentation, measured")
    page.text(
        "The experiments of Long, Shelhamer and Darrell (CVPR 2015). Published figures are of other nets on other images unless "
        "a row says so: compare their order. Every measured number comes from the command above its table."
    )
    page.text(f"How claims about scores are judged: {RULE}")
    for name in EXPERIMENTS:
        content = _read(out / name / "result.json")
        if content is not None:
            _section(page, name, content)
    page.write(out / "index.html")


def _heading(content: Mapping[str, Any]) -> str:
    """Return the command, date and machine of a result as Markdown."""
    name, settings = content["experiment"], content["settings"]
    line = command(name, settings)
    return f"`{line}`: {content['date']}, {content['machine']}, {content['seconds']:.0f} s.\n\n"


def _section(page: Page, name: str, content: Mapping[str, Any]) -> None:
    finding = Finding.from_dict(content)
    page.heading(f"{name}: {content['title']}")
    page.code(command(name, content["settings"]))
    page.text(f"{content['date']}, {content['machine']}, {content['seconds']:.0f} s. Published: {published(name).source}.")
    page.table(HEADER, finding.cells(name))
    for claim in finding.claims:
        page.text(f"{claim.verdict}: {claim.text}. {claim.evidence}.")
    for note in finding.notes:
        page.text(note)
    for picture in finding.pictures:
        page.picture(f"{name}/{picture.file}", picture.caption)


def command(name: str, settings: Mapping[str, Any]) -> str:
    """Return the command that measures experiment ``name`` with these settings.

    Examples
    --------
    >>> command("T2", {"data": "voc2012", "root": "VOCdevkit", "backbone": "vgg16", "scale": 1.0, "seeds": 1})
    'fullconv paper T2 --data voc2012 --root VOCdevkit --backbone vgg16'
    """
    words = ["fullconv paper", name, "--data", settings["data"]]
    if settings["root"]:
        words += ["--root", settings["root"]]
    if (settings["data"], settings["backbone"]) != ("scenes", SMALL):
        words += ["--backbone", settings["backbone"]]
    if settings["seeds"] != 1:
        words += ["--seeds", str(settings["seeds"])]
    if settings["scale"] != 1:
        words += ["--budget", f"{settings['scale'] * _longest():g}"]
    return " ".join(words)
