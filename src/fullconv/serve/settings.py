"""What a service is started with; every worker process gets a copy."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fullconv.errors import SpecError
from fullconv.nn.hub import hub_address
from fullconv.serve.limits import Limits

if TYPE_CHECKING:  # who only keeps workers needs no torch
    from fullconv.inference.engines.choose import EngineName
    from fullconv.inference.engines.precision import Precision

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Of a model: it stands in addresses, headers and metrics."""


@dataclass(frozen=True)
class Settings:
    """What is served, and how.

    Parameters
    ----------
    models
        Names, and where each model lies; the first is the one that is taken when a request names none.
    device, engine, precision
        As for :func:`fullconv.load`.
    limits
        What is refused.
    tokens
        A file of tokens that are let in; ``None`` lets in everybody who reaches the port.
    threads
        That compute; ``None`` for one of each two cores, and two on two.
    batch
        Images of one size that go through a net together at most; ``None`` for what the model's device is best at: one on a CPU,
        eight on a GPU.
    wait
        Seconds that an image waits at most for others of its size, where more than one go together.
    watch
        Seconds between looks at whether a model's file has changed.
    shared
        A folder in which worker processes share weights, see :mod:`fullconv.serve.shared`; ``None`` where there is one process.
    """

    models: tuple[tuple[str, str], ...]
    device: str = "auto"
    engine: "EngineName" = "eager"
    precision: "Precision | None" = None
    limits: Limits = field(default_factory=Limits)
    tokens: Path | None = None
    threads: int | None = None
    batch: int | None = None
    wait: float = 0.005
    watch: float = 2.0
    shared: Path | None = None


def named_models(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return names and places of models from what a command line says: PLACE, or NAME=PLACE.

    Without a name a model is called as its file, or as its folder where the file is called ``model``.

    Raises
    ------
    SpecError
        When a name cannot stand in an address, or two are called alike.

    Examples
    --------
    >>> named_models(["runs/road/model.safetensors", "night=road.onnx", "voc-subset"])
    (('road', 'runs/road/model.safetensors'), ('night', 'road.onnx'), ('voc-subset', 'voc-subset'))
    """
    found: dict[str, str] = {}
    for item in given:
        name, mark, place = item.partition("=")
        if not mark or not NAME.fullmatch(name):
            name, place = _name_of(item), item
        if not NAME.fullmatch(name):
            raise SpecError(f"{item}: no model can be called {name!r}; give it a name of letters and digits: NAME={item}")
        if name in found:
            raise SpecError(f"{found[name]} and {place} are both called {name}; give one another name: NAME={place}")
        found[name] = place
    if not found:
        raise SpecError("no model to serve; give a model.safetensors that training wrote, or an exported file")
    return tuple(found.items())


def _name_of(place: str) -> str:
    address = hub_address(place)
    path = Path(place.removeprefix("hf://").partition("@")[0] if address is not None else place)
    if path.stem == "model" and path.absolute().parent.name:
        path = path.absolute().parent
    return path.name if path.suffix not in (".safetensors", ".onnx", ".xml", ".pt2") else path.stem
