"""Commands that train: ``init``, ``train``, ``demo`` and ``paper``."""

import difflib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import CycloptsError, Parameter

from fullconv.cli.output import log, show


def train(
    recipe: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Train a recipe; any of its values can be given as --KEY VALUE, such as --data.root DIR or --train.seed 1.

    Ctrl-C saves and says how to go on. The run folder gets the trained model, its scores, curves and pictures.

    Parameters
    ----------
    recipe
        Name of a shipped recipe (see `fullconv recipes`), a YAML file, or the folder of a run, which holds its own.
    out
        The run folder; runs/RECIPE by default, or with --resume the folder that is named as recipe.
    resume
        Go on with the run in the folder: fullconv train RUN --resume.
    as_json
        Print one JSON object.
    """
    from fullconv.errors import SpecError
    from fullconv.spec.recipe import load_recipe, parse_overrides

    if recipe.startswith("-"):
        raise SpecError(f"{recipe} stands before the recipe; write fullconv train RECIPE {recipe} …")
    _refuse_mistyped(overrides)
    chosen = load_recipe(recipe, parse_overrides(overrides))
    from fullconv.training import train as run  # takes seconds, which a mistyped recipe need not wait for

    folder = Path(recipe) if resume and Path(recipe).is_dir() else Path("runs") / chosen.name
    result = run(chosen, out or folder, resume=resume)
    if as_json:
        show(json.dumps({"out": str(result.out), "seconds": result.seconds, "stages": result.stages}))
    else:
        pictures = [*sorted(result.out.glob("predictions*.png")), result.out / "curves.png"]  # one of predictions for each head
        log(f"the model is {result.model}; look at {' and '.join(map(str, pictures))}")


def _refuse_mistyped(overrides: Sequence[str]) -> None:
    """Find options of the command itself that were meant: whatever it does not know is taken for a key of the recipe."""
    for name in (token for token in overrides if token.startswith("--") and "." not in token):
        near = difflib.get_close_matches(name.partition("=")[0], ("--out", "--resume", "--json"), 1, 0.7)
        if near:
            raise CycloptsError(msg=f"Unknown option: {name}. Did you mean {near[0]}?")


def init(folder: Path, /, *, out: Path | None = None) -> None:
    """Look at a folder of images and masks and write a recipe for it, with everything that you may want to change.

    Parameters
    ----------
    folder
        Holds images and masks of the same names, such as images/ and masks/, with or without train/ and val/.
    out
        The recipe; NAME-OF-FOLDER.yaml by default. It must not exist.
    """
    from fullconv.data.folder.init_recipe import starter
    from fullconv.errors import DataError
    from fullconv.files import replacing
    from fullconv.spec.recipe import load_recipe

    path = out or Path(f"{folder.resolve().name}.yaml")
    if path.exists():
        raise DataError(f"{path} is there already; choose another --out")
    text = starter(folder, path.stem)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    labels = load_recipe(path).data.labels
    log(f"{path} is written, with {len(labels)} labels: {', '.join(labels)}; read it, then: fullconv train {path}")


def demo(*, out: Path = Path("demo"), as_json: Annotated[bool, Parameter("--json", negative="")] = False) -> None:
    """Tell the paper's story on rendered scenes, in minutes, without network: pictures, a table, index.html.

    Parameters
    ----------
    out
        Folder for everything; a demo that was stopped there goes on.
    as_json
        Print one JSON object.
    """
    from fullconv.paper.demo import run

    found = run(out)
    show(json.dumps(found.to_dict()) if as_json else found.table())
    order = "comes out" if found.in_order else "does NOT come out"
    log(
        f"the paper's order (32s-fixed < 32s < 16s <= 8s) {order}; {sum(found.seconds.values()):.0f} s; open {out / 'index.html'}"
    )


def paper(
    *experiments: str,
    data: Literal["scenes", "voc2011", "voc2012", "nyudv2", "siftflow"] = "scenes",
    root: Path | None = None,
    backbone: str | None = None,
    budget: float | None = None,
    seeds: int = 1,
    out: Path = Path("paper"),
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> int:
    """Run the paper's experiments and print what comes out beside the published figures; all of them when none is named.

    Tables, pictures, trained nets and index.html go to the folder. What is finished is not run again, and what was
    interrupted goes on by the same command. Exit code 1 when an experiment could not run, and a line says what it needs.

    Parameters
    ----------
    experiments
        T1 (architectures), T2 (skips), upsampling (fixed or learned), T3 (region methods), T4 (colour, depth, HHA), F5
        (patchwise training), T5 (two tasks by one net), shift (shift-and-stitch and à trous), claims (cost of sliding,
        momentum, balancing …), bound (of coarse outputs), outlines (before and after a CRF).
    data
        Rendered scenes, PASCAL VOC, NYUDv2 (T4 and bound) or SIFT Flow (T5).
    root
        Folder of the data; of VOC the one that holds VOC2011 or VOC2012.
    backbone
        Of the nets that are trained on real data: squeezenet1_1 by default, or vgg16 on VOC, caffe-vgg16 on SIFT Flow. On scenes
        minivgg, or for T5 squeezenet1_1 from ImageNet.
    budget
        Minutes of training for each experiment and seed on two idle cores, about: scales all training steps. Measuring and
        tuning take their own time. Without it the recipes' own steps.
    seeds
        How many times each net is trained.
    out
        The folder.
    as_json
        Print one JSON object.
    """
    from fullconv.errors import SpecError
    from fullconv.paper.experiment import Context
    from fullconv.paper.suite import choose, run_experiment

    if seeds < 1:
        raise SpecError(f"--seeds {seeds} must be 1 or more")
    if budget is not None and not 0 < budget < math.inf:
        raise SpecError(f"--budget {budget} must be a number of minutes above 0")
    if data == "scenes" and root is not None:
        raise SpecError(f"--root {root} says nothing to scenes, which are rendered; name real data with --data")
    context = Context(out, "", data, root, backbone, seeds=seeds)
    found = {}
    for name in choose(experiments):
        found[name] = run_experiment(name, context, budget)
        if not as_json:
            show(found[name].table(name))
        for needs in dict.fromkeys(row.needs for row in found[name].rows if row.needs):
            log(f"error: {name} could not run whole: {needs}")
    if as_json:
        show(json.dumps({name: finding.to_dict() for name, finding in found.items()}))
    log(f"open {out / 'index.html'}")
    return 0 if all(finding.complete for finding in found.values()) else 1
