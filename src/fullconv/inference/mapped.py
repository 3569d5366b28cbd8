"""A predictor for other processes: its weights in a file that each of them maps, so that a machine holds them once.

A net in PyTorch is written to a temporary file in the layout of memory that it computes in, and mapped from there: the pages are
those of the file, shared by all processes. Other engines and exported files keep weights of their own in every process.
"""

import copy
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from fullconv.errors import SpecError
from fullconv.inference.engines.choose import ENGINES
from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.exported import ExportedEngine
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.inference.tta import TTA

Opener = Callable[[Path | bytes], Predictor]
"""What :func:`written` wrote, as a file or its content, to the predictor."""


def written(predictor: Predictor, file: Path | io.BytesIO) -> Opener:
    """Write a predictor to a file, and return what opens it in another process, which needs the file until it ends.

    Raises
    ------
    SpecError
        When an engine of one's own computes, which is not known elsewhere.
    """
    engine = predictor.engine
    if isinstance(engine, ExportedEngine):
        return partial(_open_exported, engine.file.resolve(), str(engine.device), predictor.threshold, predictor.tta)
    if isinstance(engine, EagerEngine):
        torch.save(predictor, file)
        return partial(_open, str(engine.device), None)
    name = next((name for name, kind in ENGINES.items() if type(engine) is kind), None)
    if name is None:
        raise SpecError(f"other processes know the engines {', '.join(ENGINES)}, and not {type(engine).__name__}; predict in one")
    plain = copy.copy(predictor)
    plain.engine = EagerEngine(predictor.model)
    torch.save(plain, file)
    return partial(_open, str(engine.device), (name, predictor.precision))


def _open(device: str, engine: tuple[str, str] | None, content: Path | bytes) -> Predictor:
    # the file is the one that this run has written: nothing else is ever unpickled
    source = content if isinstance(content, Path) else io.BytesIO(content)
    found = torch.load(source, mmap=isinstance(content, Path), map_location=device, weights_only=False)
    assert isinstance(found, Predictor)
    if engine is not None:
        name, precision = engine
        found.engine = ENGINES[name](found.model, precision)
    return found


def _open_exported(file: Path, device: str, threshold: float | None, tta: TTA | None, content: Path | bytes) -> Predictor:
    return load(file, device, threshold).augmented(tta)
