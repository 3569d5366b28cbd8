"""The command ``predict``: a trained model, put to work on images."""

import contextlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from fullconv.cli.engine import NOT_SAID, Computing
from fullconv.cli.memory import no_more_than_free
from fullconv.cli.output import log, log_head, progress_bar, show
from fullconv.cli.threshold import threshold_of

if TYPE_CHECKING:
    from fullconv.inference.files import Outcome


@Parameter(name="*", negative="")
@dataclass(frozen=True)
class Also:
    """What ``predict`` writes beside the labels.

    Parameters
    ----------
    overlay
        Also draw the labels over the image, with a legend: NAME-overlay.png.
    probabilities
        Also write the probabilities, float16 (K, H, W): NAME-probabilities.npy.
    scores
        Is now called --probabilities.
    confidence
        Also write the largest probability, 8-bit grey in 255ths: NAME-confidence.png.
    entropy
        Also write the entropy of the probabilities, 8-bit grey in 255ths of its largest value ln K: NAME-entropy.png.
    labelme
        Also write polygons for LabelMe: NAME.json.
    geojson
        Also write polygons as GeoJSON in pixels, y down: NAME.geojson.
    coco
        Also write the polygons of all images as one COCO file: coco.json.
    areas
        Also write a table of all images with every class's pixels and share: areas.csv.
    """

    overlay: bool = False
    probabilities: bool = False
    scores: Annotated[bool, Parameter(show=False)] = False
    confidence: bool = False
    entropy: bool = False
    labelme: bool = False
    geojson: bool = False
    coco: bool = False
    areas: bool = False


@Parameter(name="*")
@dataclass(frozen=True)
class Depth:
    """Depth beside the images, for models that read it.

    Parameters
    ----------
    depth
        Folder of depth maps (16-bit PNG, TIFF, .npy and so on) that are called as the images, in the same tree; or one file of
        one image.
    depth_unit
        Of their values: metres, centimetres, millimetres, or the metres in one step.
    camera
        nyud, or FX,FY,CX,CY,HEIGHT,WIDTH in pixels; for models that read HHA.
    """

    depth: Path | None = None
    depth_unit: str | None = None
    camera: str | None = None


def predict(
    checkpoint: Path,
    /,
    *inputs: str,
    out: Path = Path("labels"),
    listed: Annotated[bool, Parameter("-", negative="")] = False,
    also: Also = Also(),
    depth: Depth = Depth(),
    values: Literal["labels", "original", "colors"] = "labels",
    voc_submission: Literal["comp6"] | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    head: str | None = None,
    refine: str | None = None,
    threshold: float | None = None,
    device: str = "auto",
    computing: Computing = NOT_SAID,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> int:
    """Label every pixel of images; write a palette PNG of each image's own size.

    An image that cannot be read is reported and the others go on; the exit code is then 1. Images whose results are all
    there are skipped, so a command that was stopped goes on when it is given again.

    Parameters
    ----------
    checkpoint
        A model.safetensors that training wrote; or hf://owner/name of the hub; or the name of an installed model: voc-subset.
    inputs
        Images, folders (searched through, results mirror their tree) or glob patterns.
    out
        Folder of the results.
    listed
        Also take inputs from standard input, one a line.
    also
        What to write beside the labels.
    depth
        Of the images.
    values
        What the labels' files hold. labels: the classes' numbers 0, 1, …, in a palette PNG; original: the values (or colours)
        that the masks of training have for them, in grey of 8 or 16 bits; colors: the classes' colours, RGB.
    voc_submission
        Also write the archive that VOC's evaluation server takes of its test images, and check it: comp6.tgz.
    overwrite
        Predict again what is there already.
    head
        Which of the model's outputs; the first by default.
    refine
        crf: sharpen outlines by a fully connected CRF, seconds for a photograph; or a file of `fullconv tune` with its settings.
    threshold
        Of models of two classes: the probability from which on a pixel is of the one that is no background; 0.5 by default.
    device
        cpu, cuda, cuda:1, mps …; auto takes cuda where there is one, else cpu.
    computing
        By which engine.
    as_json
        Print one JSON object.
    """
    from fullconv.crf.settings import read_crf
    from fullconv.errors import DataError, SpecError
    from fullconv.inference.engines.choose import pixels_of
    from fullconv.inference.files import predict_files
    from fullconv.inference.jobs import find_jobs, passed_over
    from fullconv.inference.load import load
    from fullconv.inference.rgbd import depths_for

    if also.scores:
        raise SpecError("--scores is now called --probabilities, and writes NAME-probabilities.npy")
    given = [*inputs, *(_lines_of_input() if listed else ())]
    if not given:
        raise DataError("nothing to predict; give images, folders or patterns after the checkpoint, or - and a list of them")
    threshold = threshold_of(threshold, refine)
    crf = read_crf(refine).crf if refine is not None else None
    outputs = [name for name, wanted in asdict(also).items() if wanted] + ([voc_submission] if voc_submission else [])
    for suffix, count in sorted(passed_over(given).items()):
        files = "file is" if count == 1 else "files are"
        log(f"note: {count} {suffix} {files} passed over, which fullconv does not read; save as PNG")
    jobs = find_jobs(given, out, outputs)
    predictor = load(checkpoint, device, threshold)
    predictor.head(head)
    depths = depths_for(predictor.engine.inputs, depth.depth, depth.depth_unit, depth.camera, len(jobs))
    log_head(predictor.labels, head)
    computing.prepare([predictor], lambda: pixels_of(job.source for job in jobs), "auto")
    if depths is not None:
        with contextlib.suppress(DataError):  # it will be told with the others
            log(f"depth: {jobs[0].name} has a median of {depths.median(jobs[0].name):.2g} m")
    # a GPU's driver maps more memory than it ever uses
    limited = no_more_than_free() if predictor.device.type == "cpu" else contextlib.nullcontext()
    with limited, progress_bar("predicting") as bar:
        task = bar.add_task("images", total=None)

        def step(done: int, of: int, problem: str | None) -> None:
            bar.update(task, completed=done, total=of)
            if problem:
                bar.console.print(f"error: {' '.join(problem.split())}", highlight=False, markup=False, soft_wrap=True)

        try:
            found = predict_files(
                *(predictor, jobs, outputs),
                head=head,
                crf=crf,
                overwrite=overwrite,
                depths=depths,
                values=values,
                progress=step,
            )
        except KeyboardInterrupt:
            again = " without --overwrite" if overwrite else ""
            raise KeyboardInterrupt(f"stopped; every file in {out} is whole, the same command{again} goes on") from None
    if as_json:
        show(json.dumps(asdict(found)))
    counts = ((found.skipped, "skipped as their results exist (--overwrite predicts them again)"), (found.failed, "failed"))
    log(
        f"{len(found.predicted)} of {len(jobs)} images predicted into {out}"
        + "".join(f", {len(some)} {what}" for some, what in counts if some)
    )
    if voc_submission:
        _report_archive(found, len(jobs))
    return 1 if found.failed or found.faults else 0


def _report_archive(found: "Outcome", images: int) -> None:
    from fullconv.formats.voc_submission import TEST_IMAGES

    for fault in found.faults:
        log(f"error: {found.summaries[-1]}: {fault}")
    whole = "" if images == TEST_IMAGES else f"; VOC2012's test set has {TEST_IMAGES}, and the server wants all"
    log(f"{found.summaries[-1]} holds {images - len(found.failed)} images{whole}")


def _lines_of_input() -> list[str]:
    """Return the lines of standard input that are not empty, as names of files."""
    return [os.fsdecode(line) for line in sys.stdin.buffer.read().splitlines() if line]
