"""The command ``predict``: a trained model, put to work on images."""

import contextlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from fullconv.cli.engine import NOT_SAID, Computing
from fullconv.cli.memory import no_more_than_free
from fullconv.cli.model_options import AsJson, Checkpoint, Device, Head, Overwrite, Threshold
from fullconv.cli.output import log, log_head, progress_bar, show
from fullconv.cli.threshold import threshold_of
from fullconv.cli.tiling import AS_NEEDED, Parts

if TYPE_CHECKING:
    from fullconv.inference.files import Outcome
    from fullconv.inference.predictor import Predictor
    from fullconv.inference.results import Compute

LOOKED_AT = 100
"""Images that are asked whether they lie on the earth."""


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
        Folder of depth maps (16-bit PNG, TIFF, .npy and so on) with the same names as the images, in the same tree; for one
        image, one depth file.
    depth_unit
        Unit of the depth maps' values: metres, centimetres, millimetres, or the metres in one step.
    camera
        nyud, or FX,FY,CX,CY,HEIGHT,WIDTH in pixels; for models that read HHA.
    """

    depth: Path | None = None
    depth_unit: str | None = None
    camera: str | None = None


@Parameter(name="*")
@dataclass(frozen=True)
class Spread:
    """What many images are spread over.

    Parameters
    ----------
    workers
        Predict in so many processes, which share the weights in memory; with --ray, in so many workers of the cluster.
    ray
        Predict on a Ray cluster: local starts one on this machine; auto is the one that it belongs to; or HOST:PORT.
    """

    workers: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None
    ray: str | None = None

    def compute(self, predictor: "Predictor") -> "Compute | None":
        """Return what predicts; ``None`` where it is this process."""
        if self.ray is not None:
            from fullconv.inference.cluster import Cluster

            return Cluster(predictor, self.ray, self.workers)
        if self.workers is None:
            return None
        from fullconv.inference.processes import Processes

        return Processes(predictor, self.workers)


def predict(
    checkpoint: Checkpoint,
    /,
    *inputs: str,
    out: str = "labels",
    listed: Annotated[bool, Parameter("-", negative="")] = False,
    also: Also = Also(),
    depth: Depth = Depth(),
    values: Literal["labels", "original", "colors"] = "labels",
    voc_submission: Literal["comp6"] | None = None,
    overwrite: Overwrite = False,
    head: Head = None,
    refine: str | None = None,
    threshold: Threshold = None,
    tta: str | None = None,
    device: Device = "auto",
    parts: Parts = AS_NEEDED,
    computing: Computing = NOT_SAID,
    spread: Spread = Spread(),
    as_json: AsJson = False,
) -> int:
    """Label every pixel of images, and write a palette PNG of each image's own size.

    An image that cannot be read is reported, the others are still predicted, and the exit code is then 1. Images whose results
    exist are skipped, so you can repeat a command that was stopped.

    Parameters
    ----------
    inputs
        Images, folders (searched through, results mirror their tree) or glob patterns; or URLs of them, such as s3://bucket/in.
    out
        Folder for the results, or a URL.
    listed
        Also read names of images from standard input, one on each line.
    also
        What to write beside the labels.
    depth
        Of the images.
    values
        What the labels' files hold. labels: the classes' numbers 0, 1, …, in a palette PNG; original: the values (or colours)
        that the masks of training have for them, in grey of 8 or 16 bits; colors: the classes' colours, RGB.
    voc_submission
        Also write the archive that VOC's evaluation server takes of its test images, and check it: comp6.tgz.
    refine
        crf: sharpen outlines by a fully connected CRF, which takes seconds for a photograph; or a file that `fullconv tune`
        wrote.
    tta
        Test-time augmentation, such as flip,scales=0.75:1.25: average the probabilities of the image, its mirror image, and both
        at these sizes; as many times the work as there are views, here 6.
    parts
        Of images that are too large for the memory.
    computing
        Engine and precision.
    spread
        Over processes or machines.

    Examples
    --------
    fullconv predict voc-subset photo.jpg --overlay
    fullconv predict run/model.safetensors photos/ --out labels --overlay --areas
    """
    from fullconv.crf.settings import read_crf
    from fullconv.errors import DataError, SpecError
    from fullconv.inference.engines.choose import pixels_of
    from fullconv.inference.files import predict_files
    from fullconv.inference.jobs import find_jobs, passed_over
    from fullconv.inference.load import load
    from fullconv.inference.remote import place_of
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
    jobs = find_jobs(given, place_of(out), outputs)
    _tell_of_maps([job.source for job in jobs[:LOOKED_AT] if isinstance(job.source, Path)])
    predictor = load(checkpoint, device, threshold, tta=tta)
    predictor.head(head)
    depths = depths_for(predictor.engine.inputs, depth.depth, depth.depth_unit, depth.camera, len(jobs))
    log_head(predictor.labels, head)
    workers = spread.workers or 1  # each prepares its own
    computing.prepare(
        [predictor], lambda: pixels_of(job.source for job in jobs if isinstance(job.source, Path)) // workers, "auto"
    )
    if depths is not None:
        with contextlib.suppress(DataError):  # it will be told with the others
            log(f"depth: {jobs[0].name} has a median of {depths.median(jobs[0].name):.2g} m")
    compute = spread.compute(predictor)
    # a GPU's driver maps more memory than it ever uses, and so do the servers of a cluster
    limited = no_more_than_free() if predictor.device.type == "cpu" and spread.ray is None else contextlib.nullcontext()
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
                compute=compute,
                depths=depths,
                values=values,
                tiling=parts.tiling(lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True)),
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


def _tell_of_maps(images: list[Path]) -> None:
    from fullconv.data.rasters.place import lies_on_earth

    if (placed := next((image for image in images if lies_on_earth(image)), None)) is not None:
        log(f"note: {placed} says where on the earth it lies, and PNG files do not; `fullconv raster` writes GeoTIFFs")


def _lines_of_input() -> list[str]:
    """Return the lines of standard input that are not empty, as names of files."""
    return [os.fsdecode(line) for line in sys.stdin.buffer.read().splitlines() if line]
