"""The report of ``fullconv evaluate --out``, to look through in the page: the pictures of its worst images."""

import csv
import json
from pathlib import Path
from typing import Any, Literal

from fullconv.errors import DataError
from fullconv.evaluation.report_folder import PICTURES
from fullconv.serve.view import Map

REPORT, IMAGES = "report.json", "per-image.csv"
ALONE = "a report keeps pictures, no labels; give the run or the recipe to see those"


def is_report(folder: Path) -> bool:
    """Return whether a folder is what ``fullconv evaluate --out`` writes."""
    return (folder / REPORT).is_file() and (folder / IMAGES).is_file()


class ReportView:
    """The images of a report with their scores, of each the first model's; those with a picture can be opened.

    Parameters
    ----------
    folder
        That the report lies in.

    Raises
    ------
    DataError
        When its files cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
            with (folder / IMAGES).open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            column = next(name for name in rows[0] if name.split(" ")[0] == "mean_iu")
            self._rows = [(row["image"], float(row[column]) if row[column] else None) for row in rows]
            self._about = f"{report['dataset']}, {report['images']} images; pictures are image, ground truth, prediction, errors"
        except (OSError, ValueError, KeyError, IndexError, StopIteration, UnicodeDecodeError) as error:
            raise DataError(
                f"{folder}: the report is damaged ({error}); write it again by `fullconv evaluate … --out`"
            ) from error

    def _picture(self, index: int) -> Path:
        return self.folder / PICTURES / f"worst-1-{index + 1}.png"

    def describe(self) -> dict[str, Any]:
        """Return what ``/v1/view`` says, JSON-able; the images come as they stand in the report, the worst first."""
        images = [
            {
                "id": id,
                "name": name,
                "score": score,
                "problem": "" if self._picture(id).is_file() else f"{name}: no picture; {ALONE}",
            }
            for id, (name, score) in enumerate(self._rows)
        ]
        return {
            "title": f"Report {self.folder.resolve().name}",
            "about": self._about,
            "sources": [],
            "sure": False,
            "pictures": True,
            "classes": [],
            "images": images,
            "findings": [],
            "progress": "",
            "done": True,
        }

    def image(self, index: int) -> bytes:
        """Return the picture of an image, as PNG.

        Raises
        ------
        DataError
            When the report has none.
        """
        if not 0 <= index < len(self._rows) or not self._picture(index).is_file():
            raise DataError(ALONE)
        return self._picture(index).read_bytes()

    def labels(self, index: int, of: Literal["truth", "prediction"]) -> bytes:
        """Say that there are none, by a DataError."""
        raise DataError(ALONE)

    def map(self, index: int, kind: Map) -> bytes:
        """Say that there is none, by a DataError."""
        raise DataError(ALONE)

    def start(self) -> None:
        """Do nothing: all is there."""

    def stop(self) -> None:
        """Do nothing."""
