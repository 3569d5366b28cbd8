"""evaluate() counts every image at its own size; a Report tells it as table, dictionary, Markdown and CSV."""

import csv
import json
import math
from collections.abc import Mapping

import numpy as np
import pytest
from rich.console import Console

from fullconv.data.sample import Sample
from fullconv.errors import DataError, FullconvError
from fullconv.evaluation import Report, evaluate
from fullconv.labels import LabelSet, voc_colors
from fullconv.metrics import ConfusionMatrix, metrics_of

LABELS = LabelSet(("[red]", "wall", "ball", "never"), voc_colors(4))


class Drawn:
    """Images of different sizes whose red channel is what the predictor below will say."""

    name = "drawn val"
    labels: Mapping[str, LabelSet] = {"semantic": LABELS}

    def __init__(self, count: int = 5, heads: tuple[str, ...] = ("semantic",)) -> None:
        random = np.random.default_rng(0)
        self.samples = []
        for index in range(count):
            size = tuple(random.integers(1, 9, 2))
            image = random.integers(0, 3, (*size, 3)).astype(np.uint8)
            truth = random.choice([0, 1, 2, 255], size).astype(np.uint8)
            self.samples.append(Sample.from_arrays(f"picture-{index}", {"rgb": image}, dict.fromkeys(heads, truth)))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def read_red(inputs) -> np.ndarray:
    assert inputs["rgb"].ndim == 3  # one image, no batch
    return inputs["rgb"][0].numpy()


@pytest.fixture
def report() -> Report:
    return evaluate(read_red, Drawn(), LABELS)


def test_counts_are_those_of_all_pixels(report: Report):
    expected = ConfusionMatrix(4)
    for sample in Drawn().samples:
        expected.update(sample.targets["semantic"].numpy(), read_red(sample.inputs))
    assert np.array_equal(report.matrix.matrix, expected.matrix)
    assert (report.dataset, report.images, report.classes) == ("drawn val", 5, 3)
    assert report.metrics.mean_iu == metrics_of(expected).mean_iu


def test_progress_and_policy_are_handed_on():
    seen = []
    report = evaluate(read_red, Drawn(3), LABELS, absent="zero", progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert (report.absent, report.classes) == ("zero", 4)
    assert report.metrics.mean_iu == pytest.approx(evaluate(read_red, Drawn(3), LABELS).metrics.mean_iu * 3 / 4)


def test_another_head_can_be_measured():
    report = evaluate(read_red, Drawn(2, heads=("geometric",)), LABELS, head="geometric")
    assert report.matrix.matrix.sum() > 0


def test_to_dict_is_json_and_says_what_was_left_out(report: Report):
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert (data["dataset"], data["images"], data["absent"], data["classes"]) == ("drawn val", 5, "skip", 3)
    for key in ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu"):
        assert data[key] == getattr(report.metrics, key)
    assert list(data["iu"]) == list(data["accuracy"]) == list(data["pixels"]) == list(LABELS.names)
    assert data["iu"]["never"] is data["accuracy"]["never"] is None
    assert data["iu"]["wall"] == report.metrics.iu[1]
    assert sum(data["pixels"].values()) == report.matrix.matrix.sum()


def test_nothing_counted_is_none_everywhere():
    report = Report("x", LABELS, ConfusionMatrix(4), 1)
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["mean_iu"] is data["pixel_accuracy"] is None
    assert data["classes"] == 0
    assert "–" in shown(report)


def shown(report: Report) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(report.table())
    return capture.get()


def test_table_is_in_percent_and_takes_names_as_they_are(report: Report):
    text = shown(report)
    assert "[red]" in text  # no markup
    assert "mean over 3 classes" in text
    for name, value in {"mean IU": report.metrics.mean_iu, "pixel accuracy": report.metrics.pixel_accuracy}.items():
        assert f"{name} {100 * value:.1f}" in text
    wall = next(line for line in text.splitlines() if "wall" in line)
    share = 100 * report.matrix.matrix[1].sum() / report.matrix.matrix.sum()
    assert [f"{100 * report.metrics.iu[1]:.1f}", f"{100 * report.metrics.accuracy[1]:.1f}", f"{share:.2f}"] == [
        cell.strip() for cell in wall.replace("┃", "│").split("│")[2:5]
    ]


def test_markdown_has_four_metrics_and_a_row_a_class(report: Report, tmp_path):
    report.write_markdown(tmp_path / "new" / "report.md")
    lines = (tmp_path / "new" / "report.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "drawn val, 5 images; means over 3 classes (absent classes: skip)"
    assert lines[2] == "| pixel accuracy | mean accuracy | mean IU | f.w. IU |"
    assert lines[4].split(" | ")[2] == f"{100 * report.metrics.mean_iu:.1f}"
    assert len(lines) == 8 + 4
    assert lines[-1] == "| never | – | – | 0 |"


def test_csv_reads_back(report: Report, tmp_path):
    report.write_csv(tmp_path / "classes.csv")
    with (tmp_path / "classes.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["class"] for row in rows] == list(LABELS.names)
    assert float(rows[1]["iu"]) == report.metrics.iu[1]
    assert rows[3] == {"class": "never", "iu": "", "accuracy": "", "pixels": "0"}
    assert math.isnan(report.rows()[3][1])


def test_a_report_that_cannot_be_written_says_so(report: Report, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FullconvError, match=r"cannot write .*report\.md"):
        report.write_markdown(tmp_path / "file" / "report.md")


def test_an_empty_data_set_is_refused():
    with pytest.raises(DataError, match="drawn val is empty; nothing can be measured on it"):
        evaluate(read_red, Drawn(0), LABELS)


def test_other_classes_are_refused_before_any_work():
    other = LabelSet(("a", "b", "c", "d", "e"), voc_colors(5))
    with pytest.raises(
        DataError,
        match=r"drawn val has the classes \[red\], wall, ball, never \(4\), but the predictions are of a, b, c, d, … \(5\)",
    ):
        evaluate(lambda _: pytest.fail("predicted"), Drawn(), other)


def test_a_missing_head_is_named_with_its_sample():
    with pytest.raises(DataError, match="picture-0: no ground truth for head 'geometric'; there is semantic"):
        evaluate(read_red, Drawn(), LABELS, head="geometric")
    with pytest.raises(DataError, match="picture-0: no ground truth for head 'semantic'; there is none"):
        evaluate(read_red, Drawn(1, heads=()), LABELS)


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda inputs: read_red(inputs)[None], r"drawn val, picture-0: truth \(.*\) and prediction \(1, .*\) must have one"),
        (lambda inputs: read_red(inputs) + 40, r"drawn val, picture-0: labels outside 0\.\.3 in the prediction: 40 \("),
        (lambda inputs: read_red(inputs) / 2, "drawn val, picture-0: the prediction holds float"),
    ],
)
def test_strange_predictions_name_the_sample(predict, message: str):
    with pytest.raises(DataError, match=message):
        evaluate(predict, Drawn(), LABELS)
