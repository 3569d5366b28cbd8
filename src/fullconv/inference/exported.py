"""A net in a file that another runtime runs, as ``fullconv export`` writes it: an engine for a predictor.

The file says by itself what it needs to be used, in one JSON object: of ``.onnx`` the metadata entry ``fullconv``, of
OpenVINO's ``.xml`` the runtime information of that name, of ``.pt2`` the extra file ``fullconv.json``. It has the keys of a
checkpoint's header (:mod:`fullconv.nn.checkpoint`), and those that :mod:`fullconv.interop.export.metadata` describes.

Letters: N images, C channels, H height, W width, K classes.
"""

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fullconv.data.sample import DEPTH, HHA, RGB
from fullconv.errors import DataError, SpecError, WeightsError, some
from fullconv.extras import extra_module
from fullconv.inference.device import find_device
from fullconv.inference.engines.onnxruntime import open_session
from fullconv.inference.engines.openvino import compile_graph, core
from fullconv.nn.header import HeaderFacts, facts_of

KEY = "fullconv"
TORCH_ENTRY = "fullconv.json"
WEIGHTS = "weights_sha256"
"""Key of the metadata of two files, OpenVINO's: what the weights' file is, so that another one is told."""
FORMAT = 1
"""Of the metadata; raised when an older version could not use a file."""
SUFFIXES = {".onnx": "onnx", ".xml": "openvino", ".pt2": "torch"}
"""The formats by how their files' names end."""
GIVES = {"logits": torch.float32, "labels": torch.uint8}
"""What comes out, and its type."""
DTYPES = {"float32": torch.float32, "uint8": torch.uint8}
MOST_CHANNELS = 1000
"""More than any camera has: numbers beyond are damage, and would ask for memory."""
TRIED = (11, 14)
"""Height and width of the image that an opened file is tried on."""
ADVICE = "give a file that `fullconv export` wrote"
SAID = 200
"""Letters of a runtime's message that are passed on."""

Run = Callable[[Sequence[Tensor]], list[Tensor]]
"""Inputs in the file's order, on the CPU, to outputs in its order."""


def is_exported(source: object) -> bool:
    """Return whether a checkpoint's place is taken by an exported file, by how its name ends.

    Examples
    --------
    >>> is_exported("road.onnx"), is_exported("model.safetensors")
    (True, False)
    """
    return isinstance(source, str | os.PathLike) and Path(source).suffix.lower() in SUFFIXES


def checksum(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


class ExportedEngine:
    """An exported file behind the interface :class:`fullconv.inference.engine.Engine`.

    Parameters
    ----------
    path
        Ends in one of :data:`SUFFIXES`.
    device
        ``cpu``; ``cuda`` for a ``.pt2``, and for an ``.onnx`` where ONNX Runtime has CUDA; ``auto`` takes it where it is there.

    Attributes
    ----------
    metadata
        What the file says of itself.
    facts
        The part of it that a checkpoint's header says too.
    inputs
        The names of the inputs, in the file's order.
    threshold
        The one that the file was exported with, see :class:`fullconv.Predictor`; or ``None``.
    run
        The file's own function: inputs to outputs in the order of the metadata, see :meth:`prepared`.

    Raises
    ------
    WeightsError
        When the file is missing, damaged, of another origin or of a newer version.
    SpecError
        When this machine lacks the runtime or the device.
    """

    def __init__(self, path: str | os.PathLike[str], device: str = "auto") -> None:
        file = Path(path)
        if not file.is_file():
            raise WeightsError(f"no exported model {file}: {'it is a folder' if file.is_dir() else 'no such file'}; {ADVICE}")
        opened = {"onnx": _open_onnx, "openvino": _open_openvino, "torch": _open_torch}[SUFFIXES[file.suffix.lower()]]
        text, self.run, self.device = opened(file, device)
        self.metadata = _parsed(file, text)
        wanted = self.metadata.get(WEIGHTS)
        if wanted is not None and checksum(file.with_suffix(".bin")) != wanted:
            raise WeightsError(f"the weights in {file.with_suffix('.bin')} are not those of {file}; copy both again")
        try:
            self.facts: HeaderFacts = facts_of(self.metadata)
            self._channels = {name: int(said["channels"]) for name, said in self.metadata["inputs"].items()}
            self.inputs = tuple(self._channels)
            self.gives_labels = GIVES[self.metadata["gives"]] == torch.uint8
            self._dtypes = {name: DTYPES[said["dtype"]] for name, said in self.metadata["inputs"].items()}
            threshold = self.metadata.get("threshold")
            self.threshold = None if threshold is None else float(threshold)
            if not self.facts.labels or not self.inputs or not {*self.inputs} <= {RGB, DEPTH, HHA}:
                raise WeightsError(f"it has the heads {[*self.facts.labels]} and the inputs {[*self.inputs]}")
            if not all(1 <= channels <= MOST_CHANNELS for channels in self._channels.values()):
                raise WeightsError(f"its inputs have {some([*self._channels.values()])} channels")
        except (WeightsError, DataError, KeyError, AttributeError, TypeError, ValueError, OverflowError) as error:
            raise WeightsError(f"the metadata of {file} are damaged ({_said(error)}); {ADVICE}") from error
        self.heads = {head: len(classes) for head, classes in self.facts.labels.items()}
        self.file = file

    def check(self) -> None:
        """Run the file on one small image, and see that what comes out is what its metadata say.

        Raises
        ------
        WeightsError
            When it is not: then graph and metadata do not belong together, or the graph is for images of one size.
        """
        images, height, width = 1, *TRIED
        batch = {name: torch.zeros(images, channels, height, width) for name, channels in self._channels.items()}
        outputs = self._run(batch)
        found = [(tuple(output.shape), output.dtype) for output in outputs]
        dtype = GIVES[self.metadata["gives"]]
        wanted = [((images, *(() if self.gives_labels else (classes,)), height, width), dtype) for classes in self.heads.values()]
        if found != wanted:
            raise WeightsError(
                f"{self.file} gives {_listed(found)} for an image of {height}×{width}, and by its metadata it gives "
                f"{_listed(wanted)}; {ADVICE}"
            )

    def prepared(self, batch: Mapping[str, Tensor]) -> list[Tensor]:
        """Return inputs (N, C, H, W) by name as the file reads them: of its type, in its layout and order."""
        found = []
        for name in self.inputs:
            images = batch[name].cpu()
            if self.gives_labels:
                images = images.permute(0, 2, 3, 1)
            found.append(images.to(self._dtypes[name]).contiguous())
        return found

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return logits float (N, K, H, W) of each head; see :class:`fullconv.inference.engine.Engine`.

        Raises
        ------
        SpecError
            When the file gives labels, from which no probability can be told.
        WeightsError
            When its runtime cannot run it on these images.
        """
        if self.gives_labels:
            raise SpecError(
                f"{self.file} was exported with --embed-pixels: it gives labels for other programs and no logits; export the "
                "model once more without it for predict and evaluate"
            )
        return dict(zip(self.heads, self._run(batch), strict=True))

    def _run(self, batch: Mapping[str, Tensor]) -> list[Tensor]:
        try:
            return self.run(self.prepared(batch))
        except Exception as error:  # each runtime has classes of its own
            images, _, height, width = next(iter(batch.values())).shape
            raise WeightsError(
                f"{self.file} does not run on {images} image{'s' * (images > 1)} of {height}×{width}: {_said(error)}; {ADVICE}"
            ) from error


def _parsed(file: Path, text: str | None) -> dict[str, Any]:
    if not text:
        raise WeightsError(f"{file} says nothing about its classes and images, so it is not from fullconv; {ADVICE}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"the metadata of {file} are damaged ({_said(error)}); {ADVICE}") from error
    if not isinstance(found, dict) or found.get("export_format") != FORMAT:
        given = found.get("export_format") if isinstance(found, dict) else None
        raise WeightsError(
            f"{file} has export format {given!r}; this version reads {FORMAT}: update fullconv, or export it again"
        )
    return found


def _open_onnx(file: Path, device: str) -> tuple[str | None, Run, torch.device]:
    ort = extra_module("onnxruntime", "onnx")
    has_cuda = "CUDAExecutionProvider" in ort.get_available_providers()
    place = torch.device("cpu") if device == "auto" and not has_cuda else find_device(device)
    if place.type not in (("cpu", "cuda") if has_cuda else ("cpu",)):
        raise SpecError(f"this ONNX Runtime does not compute on {device}; give cpu or auto, or install onnxruntime-gpu for CUDA")
    cuda = [("CUDAExecutionProvider", {"device_id": place.index or 0})] if place.type == "cuda" else []
    try:
        session = open_session(str(file), cuda)
    except Exception as error:  # its own classes, a dozen
        raise _damaged(file, error) from error
    names = [port.name for port in session.get_inputs()]

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        found = session.run(None, {name: images.numpy() for name, images in zip(names, inputs, strict=True)})
        return [torch.from_numpy(output) for output in found]

    return session.get_modelmeta().custom_metadata_map.get(KEY), run, place


def _open_openvino(file: Path, device: str) -> tuple[str | None, Run, torch.device]:
    openvino = core()
    if device not in ("auto", "cpu"):
        raise SpecError(f"OpenVINO files are run on the CPU; got the device {device!r}: give cpu or auto")
    try:
        model = openvino.read_model(str(file))
        compiled = compile_graph(model, "fp32")
    except Exception as error:  # RuntimeError and its own
        raise _damaged(file, error) from error

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        request = compiled.create_infer_request()  # one a call, as threads must not share one
        request.infer([images.numpy() for images in inputs])
        return [torch.from_numpy(request.get_output_tensor(place).data.copy()) for place in range(len(compiled.outputs))]

    text = str(model.get_rt_info(KEY).value) if model.has_rt_info(KEY) else None
    return text, run, torch.device("cpu")


def _open_torch(file: Path, device: str) -> tuple[str | None, Run, torch.device]:
    place = find_device(device)
    extra = {TORCH_ENTRY: ""}
    try:
        with _silent("torch.export"):  # which prints a traceback besides raising
            program = torch.export.load(file, extra_files=extra)
        if place.type != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, place)
        # guards of nets that never pad refuse maps of one entry, which are computed right all the same
        net = program.module(check_guards=False)
    except Exception as error:  # of zip files, JSON, and its own
        raise _damaged(file, error) from error
    text = str(extra[TORCH_ENTRY])
    order = tuple(_parsed(file, text).get("inputs", ()))

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        with torch.inference_mode():
            named = dict(zip(order, (images.to(place) for images in inputs), strict=True))
            return [output.cpu() for output in net(named).values()]

    return text, run, place


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """Keep back what a library logs."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _listed(outputs: Sequence[tuple[tuple[int, ...], torch.dtype]]) -> str:
    kinds = [f"{str(dtype).removeprefix('torch.')} {shape}" for shape, dtype in outputs]
    return some(kinds)


def _damaged(file: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{file} cannot be opened: {_said(error)}; copy it again, or {ADVICE}")


def _said(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:SAID] + "…" * (len(text) > SAID)
