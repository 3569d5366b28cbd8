"""Which files are meant, where results go, and that one broken picture does not stop the others."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.errors import DataError, FullconvError
from fullconv.inference.files import find_jobs, predict_files
from fullconv.inference.predictor import Predictor, load


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return load(checkpoint)


def picture(path: Path, size: tuple[int, int] = (20, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(len(path.name)).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(values).save(path)
    return path


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    picture(folder / "a.png")
    picture(folder / "sea" / "b.PNG", (17, 5))
    picture(folder / "sea" / "deep" / "c.bmp")
    (folder / "notes.txt").write_text("no picture")
    (folder / "._a.png").write_bytes(b"what another system leaves behind")
    return folder


def targets(inputs: list[str], out: Path) -> dict[str, str]:
    return {job.source.name: str(job.target.relative_to(out)) for job in find_jobs(inputs, out)}


def test_a_folder_is_searched_and_its_tree_mirrored(album: Path, tmp_path: Path) -> None:
    assert targets([str(album)], tmp_path / "out") == {"a.png": "a", "b.PNG": "sea/b", "c.bmp": "sea/deep/c"}


def test_patterns_mirror_the_tree_below_their_fixed_part(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert targets([f"{album}/**/*.bmp"], out) == {"c.bmp": "sea/deep/c"}
    assert targets([f"{album}/sea/*.P*"], out) == {"b.PNG": "b"}
    monkeypatch.chdir(album)
    assert targets(["*.png"], out)["a.png"] == "a"
    assert targets(["*/*.PNG"], out) == {"b.PNG": "sea/b"}


def test_a_file_with_a_strange_name_is_itself(tmp_path: Path) -> None:
    path = picture(tmp_path / "what[1]*.png")
    assert targets([str(path)], tmp_path / "out") == {"what[1]*.png": "what[1]*"}


def test_one_picture_named_twice_is_predicted_once(album: Path, tmp_path: Path) -> None:
    assert len(find_jobs([str(album), str(album / "a.png")], tmp_path / "out")) == 3


def test_earlier_results_within_the_folder_are_no_pictures(album: Path) -> None:
    picture(album / "out" / "a.png")
    assert len(find_jobs([str(album)], album / "out")) == 3


def test_two_pictures_with_one_result_are_refused(album: Path, tmp_path: Path) -> None:
    picture(album / "a.bmp")
    with pytest.raises(DataError, match=r"a\.bmp and .*a\.png would both be written to .*a\.png; predict them into two folders"):
        find_jobs([str(album)], tmp_path / "out")
    pair = [str(picture(tmp_path / "x.png")), str(picture(tmp_path / "x-overlay.bmp"))]
    assert len(find_jobs(pair, tmp_path / "out")) == 2
    with pytest.raises(DataError, match=r"would both be written to .*x-overlay\.png"):
        find_jobs(pair, tmp_path / "out", overlay=True)


def test_pictures_are_never_overwritten(album: Path) -> None:
    with pytest.raises(DataError, match=r"a\.png is one of the pictures and would be overwritten"):
        find_jobs([str(album / "a.png")], album)


def test_inputs_that_match_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no pictures in this folder; looked for \.bmp"):
        find_jobs([str(tmp_path / "empty")], tmp_path / "out")
    with pytest.raises(DataError, match="no file matches this pattern"):
        find_jobs([f"{tmp_path}/*.jpg"], tmp_path / "out")


def test_results_have_the_pictures_own_sizes(predictor: Predictor, album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = predict_files(predictor, find_jobs([str(album)], out), overlay=True, scores=True)
    assert not outcome.failed
    with Image.open(out / "sea" / "b.png") as labels:
        assert (labels.mode, labels.size) == ("P", (5, 17))
        truth = predictor.predict(album / "sea" / "b.PNG", scores=True)
        np.testing.assert_array_equal(np.array(labels), truth.labels)
    scores = np.load(out / "sea" / "b-scores.npy")
    assert scores.dtype == np.float16
    np.testing.assert_allclose(scores, truth.scores, atol=1e-3)
    assert (out / "sea" / "deep" / "c-overlay.png").is_file()
    for shares in outcome.predicted.values():
        assert sum(shares.values()) == pytest.approx(1)
    assert set(outcome.written[str(album / "a.png")]) == {str(out / f"a{end}") for end in (".png", "-overlay.png", "-scores.npy")}


def test_a_broken_picture_does_not_stop_the_others(predictor: Predictor, album: Path, tmp_path: Path) -> None:
    (album / "a.png").write_bytes((album / "a.png").read_bytes()[:200])
    missing = str(tmp_path / "missing.jpg")
    told: list[tuple[int, int, str | None]] = []
    outcome = predict_files(
        predictor, find_jobs([missing, str(album)], tmp_path / "out"), progress=lambda *state: told.append(state)
    )
    assert set(outcome.failed) == {missing, str(album / "a.png")}
    assert len(outcome.predicted) == 2
    assert [done for done, _, _ in told] == [1, 2, 3, 4]
    assert [problem for _, _, problem in told if problem] == list(outcome.failed.values())
    assert all(str(path) in problem for path, problem in outcome.failed.items())
    assert not (tmp_path / "out" / "a.png").exists()


def test_results_that_cannot_be_written_stop_everything(predictor: Predictor, album: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(FullconvError, match=f"cannot write .*{os.sep}a.png"):
        predict_files(predictor, find_jobs([str(album)], tmp_path / "out"))
