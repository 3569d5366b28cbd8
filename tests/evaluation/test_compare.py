"""compare(): several models on the same images, image by image, and the tables that tell of it."""

import csv
import json
import math

import numpy as np
import pytest
from rich.console import Console

from fullconv.errors import DataError
from fullconv.evaluation import METRICS, compare, evaluate
from fullconv.evaluation.tables import class_rows, difference_rows, score_rows, side_by_side, write_classes, write_images
from fullconv.labels import LabelSet, voc_colors


def naive_iu(truth: np.ndarray, found: np.ndarray) -> float:
    """Mean IU of one image over the classes in its truth or prediction, from sets of places."""
    truth, found = truth[truth != 255], found[truth != 255]
    ious = []
    for k in {*truth.tolist(), *found.tolist()}:
        true, called = set(np.flatnonzero(truth == k)), set(np.flatnonzero(found == k))
        ious.append(len(true & called) / len(true | called))
    return float(np.mean(ious)) if ious else math.nan


def test_counts_are_those_of_evaluate(drawn, models):
    found = compare(models, drawn)
    assert drawn.reads == len(drawn)  # once for all models
    for name, (predict, labels) in models.items():
        study, report = found.studies[name], evaluate(predict, drawn, labels)
        assert np.array_equal(study.report.matrix.matrix, report.matrix.matrix)
        assert (study.report.dataset, study.report.images) == (report.dataset, report.images)
        assert study.tallies.dtype == np.int64
        assert study.tallies.shape == (9, 3, 4)
        hits, truth, called = study.tallies.sum(0)
        assert hits.tolist() == np.diag(report.matrix.matrix).tolist()
        assert truth.tolist() == report.matrix.matrix.sum(1).tolist()
        assert called.tolist() == report.matrix.matrix.sum(0).tolist()


def test_images_are_scored_alone_and_the_worst_are_kept(drawn, models):
    drawn.samples[4].targets["semantic"][:] = 255
    study = compare(models, drawn).first
    truths = [sample.targets["semantic"].numpy() for sample in drawn.samples]
    answers = [sample.inputs["rgb"][0].numpy() for sample in drawn.samples]
    expected = list(map(naive_iu, truths, answers))
    assert math.isnan(expected[4])
    assert study.images["mean_iu"] == pytest.approx(np.array(expected), rel=1e-12, nan_ok=True)
    ranked = sorted((score, index) for index, score in enumerate(expected) if not math.isnan(score))
    assert [index for _, index, _ in study.worst] == [index for _, index in ranked[:6]]
    for score, index, prediction in study.worst:
        assert score == pytest.approx(expected[index])
        assert np.array_equal(prediction, answers[index])


def test_progress_policy_and_other_heads_are_handed_on(drawn, models):
    seen = []
    found = compare(models, drawn, absent="zero", progress=lambda *counts: seen.append(counts))
    assert seen == [(done, 9) for done in range(1, 10)]
    assert found.first.report.absent == found.first.trimap.absent == "zero"
    with pytest.raises(DataError, match="picture-0: no ground truth for head 'geometric'; there is semantic"):
        compare(models, drawn, head="geometric")


def test_models_of_other_classes_are_refused_before_any_work(drawn, models):
    other = LabelSet(("cat", "dog"), voc_colors(2))
    with pytest.raises(
        DataError,
        match=r"pets predicts the classes cat, dog \(2\), but red predicts <b>road, wall, ball, never \(4\); only models",
    ):
        compare(models | {"pets": (lambda _: pytest.fail("predicted"), other)}, drawn)
    with pytest.raises(DataError, match="no model to measure"):
        compare({}, drawn)
    assert drawn.reads == 0


def test_a_strange_prediction_names_the_sample(drawn, models):
    strange = (lambda inputs: inputs["rgb"][0].numpy() + 40, drawn.labels["semantic"])
    with pytest.raises(DataError, match=r"drawn val, picture-0: labels outside 0\.\.3 in the prediction"):
        compare(models | {"strange": strange}, drawn)


def test_intervals_hold_their_scores_and_differences_are_to_the_first(drawn, models):
    found = compare(models, drawn)
    first, second = (study.report.metrics for study in found.studies.values())
    for name, scores in zip(models, (first, second), strict=True):
        for key, (low, high) in found.intervals(name).items():
            assert low <= getattr(scores, key) <= high
            assert low < high
    for key, (value, (low, high)) in found.differences("_green $x").items():
        assert value == getattr(second, key) - getattr(first, key)
        assert low <= value <= high
    assert all(value == 0 and ends == (0, 0) for value, ends in found.differences("red").values())


def test_a_single_image_has_no_interval(drawn, models):
    drawn.samples = drawn.samples[-1:]
    found = compare(models, drawn)
    assert all(math.isnan(end) for ends in found.intervals("red").values() for end in ends)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["models"]["red"]["intervals"]["mean_iu"] == [None, None]
    assert "(" not in score_rows(found)[0][1]
    assert difference_rows(found)[2][2][0] in "+-"


def test_to_dict_of_one_model_is_flat_and_of_several_by_name(drawn, models):
    several = json.loads(json.dumps(compare(models, drawn, seed=5).to_dict(), allow_nan=False))
    assert several["bootstrap"] == {"level": 0.95, "resamples": 2000, "seed": 5}
    assert list(several["models"]) == list(models)
    assert "differences" not in several["models"]["red"]
    assert set(several["models"]["_green $x"]["differences"]) == set(METRICS)
    one = compare({"red": models["red"]}, drawn, seed=5)
    flat = json.loads(json.dumps(one.to_dict(), allow_nan=False))
    assert flat == several["models"]["red"] | {"bootstrap": several["bootstrap"]}
    assert flat["confusion"] == one.first.report.matrix.matrix.tolist()
    assert flat["trimap"]["distance"] == "chessboard"


def test_tables_are_in_percent(drawn, models):
    found = compare(models, drawn)
    report = found.first.report
    low, high = found.intervals("red")["mean_iu"]
    assert score_rows(found)[2][:2] == ("mean IU", f"{100 * report.metrics.mean_iu:.1f} ({100 * low:.1f} to {100 * high:.1f})")
    value, (low, high) = found.differences("_green $x")["mean_iu"]
    assert difference_rows(found)[2] == ("mean IU", "–", f"{100 * value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})")
    assert class_rows(found)[3] == ("never", "–", "–", "0.00")
    console = Console(width=120)
    with console.capture() as capture:
        console.print(side_by_side(found))
    for text in ("red", "_green $x", "IU <b>road", difference_rows(found)[2][2], "drawn val, 9 images"):
        assert text in capture.get()


def read(path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_classes_of_one_model_are_written_as_training_does(drawn, models, tmp_path):
    found = compare({"red": models["red"]}, drawn)
    write_classes(found, tmp_path / "one.csv")
    found.first.report.write_csv(tmp_path / "training.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "training.csv").read_bytes()


def test_csv_files_of_several_models_read_back(drawn, models, tmp_path):
    drawn.samples[0].targets["semantic"][:] = 255
    found = compare(models, drawn)
    write_classes(found, tmp_path / "classes.csv")
    rows = read(tmp_path / "classes.csv")
    assert list(rows[0]) == ["class", "iu red", "accuracy red", "iu _green $x", "accuracy _green $x", "pixels"]
    assert float(rows[1]["iu _green $x"]) == found.studies["_green $x"].report.metrics.iu[1]
    write_images(found, tmp_path / "images.csv")
    rows = read(tmp_path / "images.csv")
    assert len(rows) == 9
    assert rows[-1] | {"image": "picture-0", "pixels": "0", "mean_iu red": "", "mean_iu _green $x": ""} == rows[-1]
    ranked = [float(row["mean_iu red"]) for row in rows[:-1]]
    assert ranked == sorted(ranked)
    for row in rows[:-1]:
        index = found.names.index(row["image"])
        assert float(row["mean_iu _green $x"]) == found.studies["_green $x"].images["mean_iu"][index]
        assert int(row["pixels"]) == (drawn.samples[index].targets["semantic"].numpy() != 255).sum()
