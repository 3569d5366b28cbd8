"""The command ``video``: a trained model, put to work on videos and image sequences."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.engine import NOT_SAID, Computing
from fullconv.cli.model_options import AsJson, Checkpoint, Device, Head, Overwrite, Threshold
from fullconv.cli.output import log, log_head, progress_bar, show


@Parameter(name="*")
@dataclass(frozen=True)
class Written:
    """What is written.

    Parameters
    ----------
    video
        A video with the labels over it: NAME.mp4, H.264, without sound.
    pngs
        The labels of every frame: NAME/000000.png and so on, palette PNGs.
    areas
        A table with every class's pixels and share in each frame, with its time: NAME.csv.
    """

    video: bool = True
    pngs: Annotated[bool, Parameter(negative="")] = False
    areas: Annotated[bool, Parameter(negative="")] = False


def video(
    checkpoint: Checkpoint,
    source: Path,
    /,
    *,
    out: Path = Path("labels"),
    written: Written = Written(),
    fps: float | None = None,
    overwrite: Overwrite = False,
    head: Head = None,
    threshold: Threshold = None,
    device: Device = "auto",
    computing: Computing = NOT_SAID,
    as_json: AsJson = False,
) -> int:
    """Label every pixel of every frame of a video or an image sequence; frames keep their times.

    A command that was stopped goes on when it is given again. Of a video that is cut short what can be read is written; the exit
    code is then 1.

    Parameters
    ----------
    source
        A video that FFmpeg reads; or a folder of images of one size, taken in the order of the numbers in their names.
    out
        Folder of the results, which are called as the video.
    written
        What is written.
    fps
        Of a folder of images: how many are shown in a second.
    computing
        By which engine.

    Examples
    --------
    fullconv video run/model.safetensors walk.mp4 --areas
    """
    from fullconv.errors import DataError, SpecError
    from fullconv.inference.digests import weights_digest
    from fullconv.inference.load import load
    from fullconv.inference.video.frames import ImageSequence, VideoFile
    from fullconv.inference.video.predict import VideoPlan, predict_video

    predictor = load(checkpoint, device, threshold)
    if not source.is_dir() and fps is not None:
        raise SpecError(f"--fps {fps:g} is of folders of images; a video says itself how fast it is: leave it out")
    if source.is_dir() and out.resolve() == source.resolve():
        raise DataError(f"{out} is the images' own folder, where results are taken for images; choose another for them")
    found = ImageSequence(source, fps, predictor.image) if source.is_dir() else VideoFile(source)
    log_head(predictor.labels, head)
    computing.prepare([predictor], lambda: found.pixels, "auto")
    outputs = [name for name, wanted in asdict(written).items() if wanted]
    plan = VideoPlan(outputs, head, overwrite, weights_digest(predictor, checkpoint))
    if found.has_sound and written.video:
        log(f"note: {source} has sound, which the labelled video has not")
    with progress_bar("frames") as bar:
        task = bar.add_task("frames", total=found.count)
        try:
            outcome = predict_video(
                predictor,
                found,
                out / (source.resolve().name if source.is_dir() else source.stem),
                plan,
                lambda done, of: bar.update(task, completed=done, total=of),
            )
        except KeyboardInterrupt:
            again = " without --overwrite" if overwrite else ""
            raise KeyboardInterrupt(f"stopped; what is finished is kept in {out}, the same command{again} goes on") from None
    about = f"{outcome.frames} frames, {outcome.seconds:.2f} s"
    if not outcome.written:
        log(f"{source}: the results of {about} are in {out} already (--overwrite predicts them again)")
    else:
        before = f", {outcome.went_on} of them finished by an earlier command" if outcome.went_on else ""
        log(f"{source}: {about}{before}; {', '.join(path.name for path in outcome.written)} written into {out}")
    if outcome.problem:
        log(f"error: {outcome.problem}; the results are of what can be read")
    if as_json:
        show(json.dumps(asdict(outcome) | {"written": [str(path) for path in outcome.written]}))
    return 1 if outcome.problem else 0
