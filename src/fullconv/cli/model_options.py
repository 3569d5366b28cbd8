"""Options that ``predict``, ``raster`` and ``video`` have in common: each with its meaning, which their helps show alike."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Checkpoint = Annotated[
    Path,
    Parameter(
        help="A model.safetensors that training wrote; or hf://owner/name of the hub; or the name of an installed model: "
        "voc-subset."
    ),
]
Overwrite = Annotated[bool, Parameter(negative="", help="Predict again what is there already.")]
Head = Annotated[str | None, Parameter(help="Which output of a model that has several; the first by default.")]
Threshold = Annotated[
    float | None,
    Parameter(
        help="For models of two classes: the smallest probability at which a pixel counts as the class that is not background; "
        "0.5 by default."
    ),
]
Device = Annotated[str, Parameter(help="cpu, cuda, cuda:1 or mps; auto takes cuda where there is one, else cpu.")]
AsJson = Annotated[bool, Parameter("--json", negative="", help="Print one JSON object.")]
