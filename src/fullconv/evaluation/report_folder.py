"""A folder that tells an evaluation: ``report.html`` to look at, ``report.json`` and two CSV files to go on with."""

import json
from collections.abc import Sequence
from pathlib import Path

from fullconv.data.sample import SEMANTIC, Dataset
from fullconv.drawing import prediction_grid
from fullconv.errors import DataError
from fullconv.evaluation.bootstrap import LEVEL, RESAMPLES
from fullconv.evaluation.pages import Page
from fullconv.evaluation.plots import draw_confusion, draw_trimaps
from fullconv.evaluation.study import Evaluation, Study
from fullconv.evaluation.tables import Rows, class_rows, difference_rows, score_rows, trimap_rows, write_classes, write_images
from fullconv.files import replacing

PAGE, PICTURES = "report.html", "pictures"

INTERVALS = (
    f"In parentheses: the {100 * LEVEL:.0f} % interval over images. As many images as there are were drawn with replacement, "
    f"{RESAMPLES} times; a class without ground truth in a draw keeps its score over all images. The intervals say nothing about "
    "another training of the model."
)
BANDS = (
    "Mean IU of the pixels within so many pixels (chessboard distance) of a label border of the ground truth. Pixels without are "
    "not scored; where they meet a class there is a border too."
)
ALONE = (
    "The images with the lowest mean IU, each alone, over the classes present in its truth or its prediction. Every image is "
    "in per-image.csv."
)


def check_folder(out: Path) -> None:
    """Make the folder, so that what cannot be written is known before hours of measuring.

    Raises
    ------
    DataError
        When ``out`` is a file.
    FullconvError
        When nothing can be written there.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"--out {out}: a file; the report is a folder of files, give a new name")
    probe = out / ".writable"
    with replacing(probe) as temporary:
        temporary.touch()
    probe.unlink()


def write_report(evaluation: Evaluation, dataset: Dataset, out: Path, *, head: str = SEMANTIC) -> None:
    """Write ``report.html`` with its ``pictures/``, ``report.json``, ``per-class.csv`` and ``per-image.csv`` to ``out``.

    The page opens without a server; it is written last, when all that it shows is there.

    Parameters
    ----------
    evaluation
        Of any models.
    dataset, head
        What it was measured on: the worst images and their truth are read again.
    out
        A folder, made when it is not there; files of these names are replaced.
    """
    pictures = out / PICTURES
    draw_trimaps(pictures / "trimap.png", {name: study.trimap for name, study in evaluation.studies.items()})
    for number, study in enumerate(evaluation.studies.values(), 1):
        draw_confusion(pictures / f"confusion-{number}.png", study.report)
        _draw_worst(pictures, number, study, dataset, head)
    write_classes(evaluation, out / "per-class.csv")
    write_images(evaluation, out / "per-image.csv")
    with replacing(out / "report.json") as temporary:
        temporary.write_text(json.dumps(evaluation.to_dict(), indent=1), encoding="utf-8")
    _page(evaluation).write(out / PAGE)


def _draw_worst(folder: Path, number: int, study: Study, dataset: Dataset, head: str) -> None:
    for place, (_, index, prediction) in enumerate(study.worst, 1):
        sample = dataset[index]
        row = sample.picture, sample.targets[head].numpy(), prediction
        with replacing(folder / f"worst-{number}-{place}.png") as temporary:
            prediction_grid([row], study.report.labels).save(temporary, format="PNG", compress_level=1)


def _page(evaluation: Evaluation) -> Page:
    report, names = evaluation.first.report, list(evaluation.studies)
    page = Page(f"{report.dataset}, {report.images} images")
    page.heading("Scores")
    _table(page, "%", names, score_rows(evaluation))
    page.text(f"Means are over {report.classes} classes; classes without ground truth: {report.absent}. {INTERVALS}")
    if len(names) > 1:
        page.heading(f"Difference to {names[0]}")
        _table(page, "percentage points", names, difference_rows(evaluation))
        page.text("In pairs: in every draw all models are measured on the same images.")
    page.heading("Near borders")
    page.picture(f"{PICTURES}/trimap.png", BANDS)
    _table(page, "width, px", names, trimap_rows(evaluation))
    page.heading("Classes")
    page.table(("IU %", *names, "share of ground truth %"), class_rows(evaluation))
    for number, (name, study) in enumerate(evaluation.studies.items(), 1):
        _model(page, number, name, evaluation, study)
    return page


def _table(page: Page, first: str, names: Sequence[str], rows: Rows) -> None:
    page.table((first, *names), rows)


def _model(page: Page, number: int, name: str, evaluation: Evaluation, study: Study) -> None:
    """Add what one model did: its confusions and its worst images."""
    page.heading(f"Confusions of {name}")
    page.picture(f"{PICTURES}/confusion-{number}.png", "In percent of the pixels of each true class; open it for its full size.")
    page.heading(f"Worst images of {name}")
    page.text(ALONE)
    for place, (score, index, _) in enumerate(study.worst, 1):
        caption = f"{place}. {evaluation.names[index]}: mean IU {100 * score:.1f} %"
        page.picture(f"{PICTURES}/worst-{number}-{place}.png", caption)
