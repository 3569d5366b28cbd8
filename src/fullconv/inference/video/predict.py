"""A trained model, put to work on every frame of a video; what is finished is kept, so that a command that was stopped goes on.

The labels of each frame are written as a PNG into the hidden folder ``.NAME.part``; when all are there, the results are made of
them. So a net never sees a frame twice.
"""

import csv
import json
import shutil
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.sample import RGB
from fullconv.drawing import painted
from fullconv.errors import DataError, SpecError
from fullconv.files import replacing
from fullconv.inference.digests import differences, ends_digest
from fullconv.inference.predictor import Predictor
from fullconv.inference.threshold import check_threshold
from fullconv.inference.video.frames import CutShortError, Frame, ImageSequence, Source
from fullconv.inference.video.writer import video_writer
from fullconv.labels import LabelSet

OUTPUTS = {"video": ".mp4", "pngs": "", "areas": ".csv"}
"""What can be written, and how its name ends: a labelled video, a folder of labels, a table of areas over time."""

Progress = Callable[[int, int | None], None]
"""Called with the frames that are finished and how many there are, where that is known."""


@dataclass(frozen=True)
class VideoPlan:
    """How a video is predicted.

    Parameters
    ----------
    outputs
        Names of :data:`OUTPUTS`.
    head
        Which of the model's outputs; the first by default.
    overwrite
        Begin again, whatever is there.
    weights
        What tells the model from others, see :func:`fullconv.inference.digests.weights_digest`.
    """

    outputs: Collection[str] = ("video",)
    head: str | None = None
    overwrite: bool = False
    weights: str = ""


@dataclass
class VideoOutcome:
    """What became of a video.

    Attributes
    ----------
    frames
        How many it has.
    seconds
        How long it is, from the first frame's beginning to the last one's end.
    went_on
        Frames that an earlier command had finished.
    written
        Files and folders that are new.
    problem
        Why it has fewer frames than it should; ``None`` where it is whole.
    """

    frames: int = 0
    seconds: float = 0.0
    went_on: int = 0
    written: list[Path] = field(default_factory=list)
    problem: str | None = None


def predict_video(
    predictor: Predictor,
    source: Source,
    result: Path,
    plan: VideoPlan,
    progress: Progress = lambda done, of: None,
) -> VideoOutcome:
    """Label every pixel of every frame; write a labelled video, PNGs or a table, and ``NAME.json``, which says how.

    Parameters
    ----------
    predictor
        The model; it reads ``rgb``.
    source
        A :class:`~fullconv.inference.video.frames.VideoFile` or
        :class:`~fullconv.inference.video.frames.ImageSequence`.
    result
        Folder and name of the results, without a suffix.
    plan
        What is written, and how.
    progress
        Called after each frame that the model saw.

    Raises
    ------
    DataError
        When nothing can be read; when results are there that were predicted in another way, or by something else. A video that is
        cut short is no error: what can be read of it is written, and the outcome says so.
    SpecError
        When the model reads other inputs or bands than a video has.
    FullconvError
        When a file cannot be written.
    """
    _check_model(predictor, source)
    head = predictor.head(plan.head)
    check_threshold(predictor.threshold, predictor.labels[head], head)
    if not plan.outputs:
        raise SpecError("nothing is to be written; leave out --no-video, or give --pngs or --areas")
    settings = _settings(predictor, source, head, plan)
    part = result.with_name(f".{result.name}.part")
    before = _before(result, settings, plan, begun=part.is_dir())
    missing = [name for name in OUTPUTS if name in plan.outputs and (plan.overwrite or not _path(result, name).exists())]
    if before is not None and not missing and not plan.overwrite:
        return VideoOutcome(before["frames"], before["seconds"], before["frames"], [], before["problem"])
    _begin(part, settings, afresh=plan.overwrite)
    outcome = VideoOutcome()
    frames = _times(predictor, source, head, part, outcome, progress)
    if not frames:
        raise DataError(outcome.problem or f"{source.path}: no frame can be read")
    seconds = [(frame[0] * source.time_base, frame[1] * source.time_base) for frame in frames]
    outcome.frames, outcome.seconds = len(frames), float(seconds[-1][0] + seconds[-1][1] - seconds[0][0])
    _write(source, result, missing, part, [float(begin) for begin, _ in seconds], predictor.labels[head], outcome)
    with replacing(_note(result)) as temporary:
        about = {"frames": outcome.frames, "seconds": outcome.seconds, "problem": outcome.problem, "settings": settings}
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    outcome.written.append(_note(result))
    shutil.rmtree(part, ignore_errors=True)
    return outcome


def _check_model(predictor: Predictor, source: Source) -> None:
    if tuple(predictor.engine.inputs) != (RGB,):
        raise SpecError(
            f"the model reads {', '.join(predictor.engine.inputs)}; of videos only models that read {RGB} alone are run"
        )
    if not isinstance(source, ImageSequence) and predictor.image.channels != 3:
        raise SpecError(f"the model reads images of {predictor.image.channels} bands, and a video has three, red, green and blue")


def _settings(predictor: Predictor, source: Source, head: str, plan: VideoPlan) -> dict[str, Any]:
    content = ends_digest(source.path)
    if isinstance(source, ImageSequence):
        listed = "\n".join(f"{path.name} {path.stat().st_size}" for path in source.images)
        content = f"{len(source.images)} {zlib.crc32(listed.encode(errors='surrogateescape')):08x}"
    found: dict[str, Any] = {"source": source.path.name, "content": content, "head": head, "weights": plan.weights}
    found |= {"fps": str(source.rate)} if isinstance(source, ImageSequence) else {}
    found |= {"threshold": predictor.threshold} if predictor.threshold is not None else {}
    return found | ({"precision": predictor.precision} if predictor.precision != "fp32" else {})


def _path(result: Path, output: str) -> Path:
    return result.with_name(result.name + OUTPUTS[output])


def _note(result: Path) -> Path:
    return result.with_name(f"{result.name}.json")


def _before(result: Path, settings: dict[str, Any], plan: VideoPlan, *, begun: bool) -> dict[str, Any] | None:
    """Return what is noted of results that are there; stop where they were made in another way, or by something else."""
    note = _note(result)
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        before = found["settings"]
    except FileNotFoundError:
        found = None
    except (OSError, ValueError, KeyError, TypeError):
        found, before = None, None
        if not plan.overwrite:
            raise DataError(f"{note} was not written by fullconv and would be overwritten; choose another --out") from None
    if plan.overwrite:
        return None
    if found is None:
        there = [path for name in OUTPUTS if name in plan.outputs and (path := _path(result, name)).exists()]
        if there and not begun:  # else the command before was stopped among its last files
            raise DataError(
                f"{there[0]} was not written by fullconv and would be overwritten; choose another --out, or move it away"
            )
        return None
    if before != settings:
        raise DataError(f"{note} tells of {differences(before, settings)}; choose another --out, or --overwrite it")
    return dict(found)


def _begin(part: Path, settings: dict[str, Any], *, afresh: bool) -> None:
    """Make the folder of what is finished, or make sure that the one that is there was begun in the same way."""
    note = part / "settings.json"
    if afresh:
        shutil.rmtree(part, ignore_errors=True)
    try:
        before = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        shutil.rmtree(part, ignore_errors=True)
        with replacing(note) as temporary:
            temporary.write_text(json.dumps(settings), encoding="utf-8")
        return
    if before != settings:
        raise DataError(f"{part} was begun with {differences(before, settings)}; choose another --out, or --overwrite it")


def _times(
    predictor: Predictor, source: Source, head: str, part: Path, outcome: VideoOutcome, progress: Progress
) -> list[tuple[int, int]]:
    """Label all frames that are not labelled yet; return when each is shown and for how long, in ticks."""
    times: list[tuple[int, int]] = []
    waiting: list[tuple[int, Frame]] = []

    def label() -> None:
        found = predictor.predict_batch([{RGB: frame.given} for _, frame in waiting], head)
        for (number, _), each in zip(waiting, found, strict=True):
            with replacing(_png(part, number)) as temporary:
                each.to_image().save(temporary, format="PNG")
        waiting.clear()
        progress(len(times), source.count)

    try:
        for number, frame in enumerate(source.frames()):
            times.append((frame.ticks, frame.duration))
            if _png(part, number).exists():
                outcome.went_on += 1
                continue
            waiting.append((number, frame))
            if len(waiting) == predictor.together:
                label()
    except CutShortError as error:
        outcome.problem = str(error)
    if waiting:
        label()
    return times


def _png(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.png"


def _labels_in(folder: Path, number: int) -> NDArray[np.uint8]:
    with Image.open(_png(folder, number)) as image:
        return np.asarray(image)


def _write(
    source: Source,
    result: Path,
    outputs: list[str],
    part: Path,
    begins: list[float],
    label_set: LabelSet,
    outcome: VideoOutcome,
) -> None:
    """Write what is asked for, from the labels in ``part``; ``begins`` are the frames' times in seconds."""
    if "areas" in outputs:
        path = _path(result, "areas")
        with replacing(path) as temporary:
            write_areas_over_time(temporary, begins, (_labels_in(part, number) for number in range(len(begins))), label_set)
        outcome.written.append(path)
    if "video" in outputs:
        path = _path(result, "video")
        with video_writer(path, source) as add:
            for number, frame in zip(range(len(begins)), source.frames(), strict=False):  # what is cut short ends where it did
                add(painted(frame.image, _labels_in(part, number), label_set), frame)
        outcome.written.append(path)
    if "pngs" in outputs:
        path = _path(result, "pngs")
        if path.is_dir():
            shutil.rmtree(path)
        shutil.copytree(part, path, ignore=shutil.ignore_patterns("settings.json"))
        outcome.written.append(path)


def write_areas_over_time(path: Path, begins: list[float], labels: Iterator[NDArray[np.uint8]], label_set: LabelSet) -> None:
    """Write a CSV table with a row a frame: its number from 0, its time in seconds, and each class's pixels and share, 0 to 1."""
    heads = [f"{name} {unit}" for name in label_set.names for unit in ("pixels", "share")]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["frame", "seconds", *heads])
        for number, (begin, each) in enumerate(zip(begins, labels, strict=True)):
            counts = np.bincount(each.ravel(), minlength=len(label_set))[: len(label_set)].tolist()
            shares = (value for count in counts for value in (count, f"{count / each.size:.6f}"))
            table.writerow([number, f"{begin:.6f}", *shares])
