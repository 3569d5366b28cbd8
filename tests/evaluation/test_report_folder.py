"""The folder of a report: a page whose pictures are there, files that read back, pictures of 2 to 60 classes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.errors import DataError, FullconvError
from fullconv.evaluation import Report, compare
from fullconv.evaluation.plots import draw_confusion
from fullconv.evaluation.report_folder import check_folder, write_report
from fullconv.labels import LabelSet, voc_colors
from fullconv.metrics import ConfusionMatrix


@pytest.fixture
def folder(drawn, models, tmp_path) -> Path:
    write_report(compare(models, drawn), drawn, tmp_path / "new" / "report")
    return tmp_path / "new" / "report"


def test_every_picture_of_the_page_is_there_and_no_other(folder: Path):
    page = (folder / "report.html").read_text(encoding="utf-8")
    shown = set(re.findall(r'<img src="([^"]+)"', page))
    assert shown == {str(path.relative_to(folder)) for path in folder.rglob("*.png")}
    assert len(shown) == 1 + 2 * (1 + 6)
    for name in shown:
        with Image.open(folder / name) as picture:
            picture.load()
            assert picture.format == "PNG"
    assert {path.name for path in folder.iterdir()} == {
        *("report.html", "report.json", "per-class.csv", "per-image.csv", "pictures")
    }


def test_the_page_tells_scores_and_escapes_names(folder: Path):
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<td>&lt;b&gt;road</td>" in page
    assert "<b>" not in page
    data = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    for model in data["models"].values():
        low, high = (f"{100 * end:.1f}" for end in model["intervals"]["mean_iu"])
        assert f"<td>{100 * model['mean_iu']:.1f} ({low} to {high})</td>" in page
    assert "Difference to red" in page


def test_the_worst_pictures_show_image_truth_prediction_and_error(drawn, models, folder: Path):
    _, index, _ = compare(models, drawn).first.worst[0]
    sample = drawn.samples[index]
    height, width = sample.size
    with Image.open(folder / "pictures" / "worst-1-1.png") as picture:
        pixels = np.array(picture)
    left, top = 8 + 2 * 248, 30  # the third column: the prediction
    rows = top + ((np.arange(height) + 0.5) * max(1, round(height * 240 / width)) / height).astype(int)
    columns = left + ((np.arange(width) + 0.5) * 240 / width).astype(int)
    colors = np.array(voc_colors(4))[sample.inputs["rgb"][0].numpy()]
    assert np.array_equal(pixels[np.ix_(rows, columns)], colors)


def test_one_model_has_no_differences(drawn, models, tmp_path):
    write_report(compare({"red": models["red"]}, drawn), drawn, tmp_path)
    assert "Difference" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_names_that_are_no_text_are_written(drawn, models, tmp_path):
    found = compare({"lost\udcff": models["red"]}, drawn)
    write_report(found, drawn, tmp_path)
    assert "lost\\udcff" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_place_where_nothing_can_be_written_is_known_before(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="file: a file; the report is a folder of files, give a new name"):
        check_folder(tmp_path / "file")
    with pytest.raises(FullconvError, match=r"cannot write .*below"):
        check_folder(tmp_path / "file" / "below")
    check_folder(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")  # drawn as boxes; the command line says nothing of it
@pytest.mark.parametrize("count", [1, 2, 21, 60])
def test_confusions_of_any_number_of_classes_and_of_any_names(count: int, tmp_path):
    names = tuple(["$x", "_", "山", "a" * 99, *(f"class {k}" for k in range(4, count))][:count])
    matrix = ConfusionMatrix(count)
    matrix.matrix += np.eye(count, dtype=np.int64) * 3
    matrix.matrix[-1] = 0  # a class without ground truth
    draw_confusion(tmp_path / "a.png", Report("x", LabelSet(names, voc_colors(count)), matrix, 1))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.height >= 30 * count
        colors = {color: number for number, color in picture.convert("RGB").getcolors(1 << 24)}
    darkest, grey = (8, 48, 107), (211, 211, 211)  # all of a class's pixels, and a class without any
    assert colors.get(darkest, 0) >= 300 * (count - 1)
    assert colors[grey] >= 300 * count
