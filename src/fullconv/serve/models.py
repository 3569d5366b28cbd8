"""The models of a service: loaded from the content of their files, and loaded again when the files change.

A checkpoint is read into memory before it is opened, and an exported file is copied: what happens to the file afterwards cannot
touch the model in use. A file that cannot be loaded changes nothing: the model that was there goes on.
"""

import hashlib
import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.data.sample import RGB
from fullconv.errors import FullconvError, SpecError, WeightsError, some
from fullconv.inference.exported import ExportedEngine, is_exported
from fullconv.inference.files import by_model
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.nn.find_checkpoint import find_checkpoint
from fullconv.serve.problem import Problem
from fullconv.serve.settings import Settings
from fullconv.serve.shared import shared
from fullconv.spec import ModelSpec

log = logging.getLogger(__name__)
WARM_UP = (384, 512)
"""Height and width of the image that a model is shown before it counts as ready: a first call takes longer than the others.

They are those of a photograph, as weights are brought into the layout that is best for the first image: after one of 64×96 those
of 375×500 took 137 ms of a core, after one of 256×384 or more 80 ms (fcn8s-squeezenet1_1, AMD EPYC).
"""

Print = tuple[tuple[int, int, int], ...]
"""What tells whether files have changed: of each its time, size and number on the disk."""


@dataclass(frozen=True)
class Model:
    """A model in use.

    Attributes
    ----------
    name
        By which requests ask for it.
    predictor
        The model, ready.
    said
        What its file says of it: ``model``, ``preprocessing`` and ``history``, as in a checkpoint's header.
    told
        Which model it is, as files of labels keep it.
    """

    name: str
    predictor: Predictor
    said: Mapping[str, Any]
    told: str

    def describe(self, is_default: bool) -> dict[str, Any]:
        """Return what ``/v1/models`` says of it."""
        spec = ModelSpec.model_validate(self.said["model"])
        history = self.said.get("history") or []
        scores = (history[-1].get("heads") or None) if history else None
        return {
            "name": self.name,
            "default": is_default,
            "heads": {
                head: [
                    {"id": k, "name": name, "color": list(color)}
                    for k, (name, color) in enumerate(zip(labels.names, labels.colors, strict=True))
                ]
                for head, labels in self.predictor.labels.items()
            },
            "preprocessing": dict(self.said["preprocessing"]),
            "scores": scores,
            "backbone": spec.backbone,
            "stride": spec.stride,
        }


class Models:
    """All models of a service by name.

    Parameters
    ----------
    settings
        Which, and on what device.
    on_reload
        Called with a name and ``loaded`` or ``refused`` when a file has changed.
    """

    def __init__(self, settings: Settings, on_reload: Callable[[str, str], None] = lambda name, result: None) -> None:
        self._settings = settings
        self._on_reload = on_reload
        self._places = {name: find_checkpoint(place) for name, place in settings.models}
        self._models: dict[str, Model] = {}
        self._prints: dict[str, Print] = {}
        self._changed: dict[str, Print] = {}
        self._one_at_a_time = threading.Lock()

    @property
    def default(self) -> str:
        """The name of the model that is taken when none is named; empty where there is none, as in a view of a folder."""
        return next(iter(self._places), "")

    def load(self) -> None:
        """Load all of them.

        Raises
        ------
        FullconvError
            When one cannot be.
        """
        with self._one_at_a_time:
            for name in self._places:
                self._load(name)

    def _load(self, name: str) -> None:
        path = self._places[name]
        self._prints[name] = _print_of(path)  # before reading, so that a change meanwhile is seen
        self._models[name] = open_model(name, path, self._settings)

    def get(self, name: str | None) -> Model:
        """Return a model, the first when no name is given.

        Raises
        ------
        Problem
            When none is called so.
        """
        found = self._models.get(name or self.default)
        if found is None:
            raise Problem("not-found", f"no model of that name is served; there are {some(list(self._models), 20)}")
        return found

    def all(self) -> list[Model]:
        """Return all models in their order."""
        return [self._models[name] for name in self._places]

    def refresh(self, now: bool = False) -> None:
        """Load again what has changed and has then stayed the same until the next call; ``now`` does not wait for that.

        Requests go on with the model that was there, also where the new file cannot be loaded, which is logged once.
        """
        with self._one_at_a_time:
            for name, path in self._places.items():
                found = _print_of(path)
                if found == self._prints[name]:
                    self._changed.pop(name, None)
                elif now or self._changed.get(name) == found:
                    self._reload(name)
                else:
                    self._changed[name] = found  # it may still be being written

    def _reload(self, name: str) -> None:
        try:
            self._load(name)
        except FullconvError as error:
            log.error("the new file of %s cannot be used, the model that was loaded goes on: %s", name, error)
            self._on_reload(name, "refused")
        else:
            log.info("loaded %s again", name)
            self._on_reload(name, "loaded")


def open_model(name: str, path: Path, settings: Settings) -> Model:
    """Return a model of a file, after a first image.

    Raises
    ------
    SpecError
        When it reads something beside the image; when the device or the engine is not there.
    WeightsError
        When the file is missing, cannot be read, is damaged or of another kind, or its weights are no numbers.
    """
    if settings.shared is None:
        predictor = _load(path, settings)
    else:
        version = hashlib.sha256(repr(_print_of(path)).encode()).hexdigest()[:16]
        try:
            predictor = shared(lambda: _load(path, settings), settings.shared, name, version)
        except OSError as error:  # there is no room for the file that locks, or the folder is gone
            reason = error.strerror or error
            raise WeightsError(f"cannot share the weights of {name} in {settings.shared}: {reason}; make room there") from error
    wanted = tuple(predictor.engine.inputs)
    if wanted != (RGB,):
        raise SpecError(f"{name} reads {', '.join(wanted)}, and a request brings one image: only models of {RGB} are served")
    predictor.predict_batch([{RGB: np.zeros((*WARM_UP, predictor.image.channels), np.uint8)}], probabilities=True)
    told = by_model(predictor, path)
    if isinstance(predictor.engine, ExportedEngine):
        return Model(name, predictor, predictor.engine.metadata, told)
    net = predictor.model
    said = {"model": net.spec.model_dump(mode="json"), "preprocessing": net.preprocessing}
    return Model(name, predictor, said | {"history": (net.stored or {}).get("history", [])}, told)


def _load(path: Path, settings: Settings) -> Predictor:
    """Return the model of a file, of which nothing is needed any more afterwards."""
    how = settings.device, None, settings.engine, settings.precision
    try:
        return _load_content(path, how) if not is_exported(path) and path.is_file() else _load_copy(path, how)
    except OSError as error:  # it cannot be read, or the disk has no room for the copy
        raise WeightsError(
            f"cannot load {path}: {error.strerror or error}; make it readable, and room in the folder for temporary files"
        ) from error
    except MemoryError as error:
        raise WeightsError(f"no memory for {path}; serve fewer or smaller models") from error


def _load_content(path: Path, how: tuple[Any, ...]) -> Predictor:
    content = path.read_bytes()
    try:
        return load(content, *how)
    except WeightsError as error:  # of the content, whose file it does not know
        raise WeightsError(f"{path}: {error}") from error


def _load_copy(path: Path, how: tuple[Any, ...]) -> Predictor:
    """Return the model of an exported file; runtimes map it into memory, so it is a copy that is opened, and then removed."""
    if not path.is_file():
        return load(path, *how)  # which says what is wrong
    with tempfile.TemporaryDirectory(prefix="fullconv-", ignore_cleanup_errors=True) as folder:
        for file in _files_of(path):
            shutil.copyfile(file, Path(folder) / file.name)
        return load(Path(folder) / path.name, *how)


def _files_of(path: Path) -> list[Path]:
    """Return the files of a model: OpenVINO keeps the weights beside the graph."""
    weights = path.with_suffix(".bin")
    return [path, weights] if path.suffix.lower() == ".xml" and weights.is_file() else [path]


def _print_of(path: Path) -> Print:
    try:
        found = [file.stat() for file in _files_of(path)]
    except OSError:
        return ()
    return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)
