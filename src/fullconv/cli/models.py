"""``fullconv models``: the backbones that there are."""

import json
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.output import show


def models(*, as_json: Annotated[bool, Parameter("--json", negative="")] = False) -> None:
    """List the backbones; a model is fcn32s-, fcn16s-, fcn8s- or fcn4s- and a backbone.

    Parameters
    ----------
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv models
    """
    from fullconv.nn.describe import overview, overview_table

    found = overview()
    show(json.dumps(found) if as_json else overview_table(found))
