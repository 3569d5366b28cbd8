"""``fullconv paper``: the paper's experiments, beside the published figures."""

import json
import math
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from fullconv.cli.output import log, show


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
        Data set: rendered scenes, PASCAL VOC, NYUDv2 (T4 and bound) or SIFT Flow (T5).
    root
        Folder of the data set; for VOC the folder that holds VOC2011 or VOC2012.
    backbone
        Backbone of the nets that are trained on real data: squeezenet1_1 by default, or vgg16 and efficientnet_lite0 on VOC and
        NYUDv2, caffe-vgg16 on SIFT Flow. On scenes minivgg, or for T5 squeezenet1_1 from ImageNet. T1 trains its own three.
    budget
        Minutes of training for each experiment and seed on two idle cores, about: scales all training steps. Measuring and
        tuning take their own time. Without it the recipes' own steps.
    seeds
        Number of trainings of each net, each with another seed.
    out
        Folder for the results.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv paper T2 --seeds 3
    fullconv paper T2 --data voc2012 --root VOCdevkit --backbone vgg16
    """
    from fullconv.errors import SpecError
    from fullconv.paper.experiment import Context
    from fullconv.paper.suite import choose, run_experiment

    if seeds < 1:
        raise SpecError(f"--seeds {seeds} must be 1 or more")
    if budget is not None and not 0 < budget < math.inf:
        raise SpecError(f"--budget {budget} must be a number of minutes above 0")
    if data == "scenes" and root is not None:
        raise SpecError(f"--root {root} has no meaning for scenes, which are rendered; choose a stored data set by --data")
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
