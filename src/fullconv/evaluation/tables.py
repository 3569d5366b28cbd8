"""An evaluation as rows of text and as CSV files; scores are percent in the text, 0..1 in the files."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table

from fullconv.evaluation.report import METRICS, estimate, or_none, percent
from fullconv.evaluation.study import Evaluation
from fullconv.files import replacing

Rows = list[tuple[str, ...]]


def score_rows(evaluation: Evaluation) -> Rows:
    """Return a row a metric: its title, and each model's score with its interval; of two classes IU and Dice of the one first."""
    intervals = {name: evaluation.intervals(name) for name in evaluation.studies}
    reports = [study.report.of_class() for study in evaluation.studies.values()]
    rows: Rows = [(title, *(percent(report[title]) for report in reports)) for title in reports[0]]
    return rows + [
        (
            title,
            *(estimate(getattr(study.report.metrics, key), intervals[name][key]) for name, study in evaluation.studies.items()),
        )
        for key, title in METRICS.items()
    ]


def difference_rows(evaluation: Evaluation) -> Rows:
    """Return a row a metric: its title, a dash for the first model, and how far each other one lies above it."""
    others = [evaluation.differences(name) for name in list(evaluation.studies)[1:]]
    return [(title, "–", *(estimate(*found[key], sign="+") for found in others)) for key, title in METRICS.items()]


def class_rows(evaluation: Evaluation) -> Rows:
    """Return a row a class: its name, each model's IU, and its share of the ground truth."""
    studies = evaluation.studies.values()
    truth = evaluation.first.report.matrix.matrix.sum(1)
    shares = truth / max(int(truth.sum()), 1)
    columns = [map(percent, study.report.metrics.iu) for study in studies]
    return list(zip(evaluation.first.report.labels.names, *columns, (f"{100 * share:.2f}" for share in shares), strict=True))


def trimap_rows(evaluation: Evaluation) -> Rows:
    """Return a row a band: its width in pixels, and each model's mean IU in it."""
    trimaps = [study.trimap for study in evaluation.studies.values()]
    columns = [[percent(band.mean_iu) for band in trimap.metrics()] for trimap in trimaps]
    return list(zip(map(str, trimaps[0].widths), *columns, strict=True))


def side_by_side(evaluation: Evaluation) -> Table:
    """Return a rich table with a column a model: the four metrics, differences to the first, mean IU near borders, classes."""
    report = evaluation.first.report
    table = Table(
        title=f"{escape(report.dataset)}, {report.images} images",
        caption="in parentheses: 95 % interval over images; Δ: difference to the first, of pairs; within n px: of label borders",
    )
    table.add_column("%")
    for name in evaluation.studies:
        table.add_column(escape(name), justify="right")
    table.add_column("share of ground truth %", justify="right")
    for row in score_rows(evaluation):
        table.add_row(*row)
    table.add_section()
    for title, *cells in difference_rows(evaluation):
        table.add_row(f"Δ {title}", *cells)
    table.add_section()
    for width, *cells in trimap_rows(evaluation):
        table.add_row(f"mean IU within {width} px", *cells)
    table.add_section()
    for name, *cells in class_rows(evaluation):
        table.add_row(f"IU {escape(name)}", *cells)
    return table


def write_classes(evaluation: Evaluation, path: Path) -> None:
    """Write a row a class as :meth:`Report.write_csv` does: each model's IU and accuracy, empty where left out."""
    reports = {name: study.report for name, study in evaluation.studies.items()}
    of_two = evaluation.first.report.labels.foreground is not None
    header = ["class", *_columns(reports, ("iu", "accuracy")), "pixels", *(_columns(reports, ("dice",)) if of_two else [])]
    pixels = evaluation.first.report.matrix.matrix.sum(1).tolist()
    values = [column for report in reports.values() for column in (report.metrics.iu, report.metrics.accuracy)]
    cells = ([or_none(value) for value in row] for row in zip(*values, strict=True))
    names = evaluation.first.report.labels.names
    dice = zip(*(map(or_none, report.metrics.dice if of_two else []) for report in reports.values()), strict=True)
    tails = list(dice) if of_two else [()] * len(names)
    rows = zip(names, cells, pixels, tails, strict=True)
    _write(path, header, ((name, *row, count, *tail) for name, row, count, tail in rows))


def write_images(evaluation: Evaluation, path: Path) -> None:
    """Write a row an image, the first model's worst first: its pixels of ground truth, and the four metrics of each model."""
    studies = evaluation.studies
    header = ["image", "pixels", *_columns(studies, METRICS)]
    pixels = evaluation.first.tallies[:, 1].sum(-1)
    values = np.stack([study.images[key] for study in studies.values() for key in METRICS], axis=1)
    order = np.argsort(evaluation.first.images["mean_iu"], kind="stable")  # nan, images without ground truth, come last
    rows = ((evaluation.names[index], int(pixels[index]), *map(or_none, values[index])) for index in order)
    _write(path, header, rows)


def _columns(models: Iterable[str], keys: Iterable[str]) -> list[str]:
    """Name the columns of each model; with its name where there are several."""
    names = list(models)
    return [key if len(names) == 1 else f"{key} {name}" for name in names for key in keys]


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    # names of files need not be text
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as handle:
        writer = csv.writer(handle)
        writer.writerow(header)
        writer.writerows(rows)
