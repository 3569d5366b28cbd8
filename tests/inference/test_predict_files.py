"""Which files are meant, where results go, and that one broken picture does not stop the others."""

import contextlib
import copy
import csv
import json
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from fullconv.cli.memory import no_more_than_free
from fullconv.errors import DataError, FullconvError
from fullconv.inference.files import predict_files
from fullconv.inference.jobs import find_jobs
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.inference.segmentation import Segmentation
from fullconv.labels import LabelSet, voc_colors


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return load(checkpoint, "cpu")


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
    return {job.source.name: str(job.path("labels").relative_to(out).with_suffix("")) for job in find_jobs(inputs, out)}


def test_a_folder_is_searched_and_its_tree_mirrored(album: Path, tmp_path: Path) -> None:
    assert targets([str(album)], tmp_path / "out") == {"a.png": "a", "b.PNG": "sea/b", "c.bmp": "sea/deep/c"}


def test_patterns_mirror_the_tree_below_their_fixed_part(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert targets([f"{album}/**/*.bmp"], out) == {"c.bmp": "sea/deep/c"}
    assert targets([f"{album}/sea/*.P*"], out) == {"b.PNG": "b"}
    monkeypatch.chdir(album)
    assert targets(["*.png"], out)["a.png"] == "a"
    assert targets(["*/*.PNG"], out) == {"b.PNG": "sea/b"}


def test_hidden_folders_and_links_to_folders_are_not_searched(album: Path, tmp_path: Path) -> None:
    picture(album / ".thumbs" / "a.png")
    (album / "sea" / "again").symlink_to(album)
    assert len(find_jobs([str(album)], tmp_path / "out")) == 3


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
        find_jobs(pair, tmp_path / "out", ["overlay"])
    with pytest.raises(DataError, match=r"all images and .*coco\.bmp would both be written to .*coco\.json"):
        find_jobs([str(picture(tmp_path / "coco.bmp"))], tmp_path / "out", ["labelme", "coco"])


def test_pictures_are_never_overwritten(album: Path) -> None:
    with pytest.raises(DataError, match=r"a\.png is one of the images and would be overwritten"):
        find_jobs([str(album / "a.png")], album)


def test_results_do_not_lie_among_a_folders_pictures(album: Path) -> None:
    with pytest.raises(DataError, match=r"album is the images' own folder, where results are taken for images; choose another"):
        find_jobs([str(album)], album)
    assert len(find_jobs([str(album)], album / "labels")) == 3


def test_inputs_that_match_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"photos\.zip: zip archives are not opened here; unpack it and give the folder"):
        find_jobs([str(tmp_path / "photos.zip")], tmp_path / "out")
    with pytest.raises(DataError, match=r"no images in this folder; looked for \.apng"):
        find_jobs([str(tmp_path / "empty")], tmp_path / "out")
    with pytest.raises(DataError, match="no file matches this pattern"):
        find_jobs([f"{tmp_path}/*.jpg"], tmp_path / "out")


def test_results_have_the_pictures_own_sizes(predictor: Predictor, album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = predict_files(predictor, find_jobs([str(album)], out), ["overlay", "probabilities"])
    assert not outcome.failed
    with Image.open(out / "sea" / "b.png") as labels:
        assert (labels.mode, labels.size) == ("P", (5, 17))
        truth = predictor.predict(album / "sea" / "b.PNG", probabilities=True)
        np.testing.assert_array_equal(np.array(labels), truth.labels)
    scores = np.load(out / "sea" / "b-probabilities.npy")
    assert scores.dtype == np.float16
    np.testing.assert_allclose(scores, truth.probabilities, atol=1e-3)
    assert (out / "sea" / "deep" / "c-overlay.png").is_file()
    for shares in outcome.predicted.values():
        assert sum(shares.values()) == pytest.approx(1)
    assert set(outcome.written[str(album / "a.png")]) == {
        str(out / f"a{end}") for end in (".png", "-overlay.png", "-probabilities.npy")
    }


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


# --- going on where it stopped ---


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_there_is_skipped_and_a_partly_written_set_is_not(predictor: Predictor, album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    jobs = find_jobs([str(album)], out)
    first = predict_files(predictor, jobs, ["overlay"])
    assert (len(first.predicted), first.skipped) == (3, [])
    whole = contents(out)
    (out / "a.png").write_bytes(b"mine")
    (out / "sea" / "b-overlay.png").unlink()
    told: list[tuple[int, int, str | None]] = []
    second = predict_files(predictor, jobs, ["overlay"], progress=lambda *state: told.append(state))
    assert list(second.predicted) == [str(album / "sea" / "b.PNG")]
    assert second.skipped == [str(album / "a.png"), str(album / "sea" / "deep" / "c.bmp")]
    assert told == [(1, 1, None)]
    assert contents(out) == whole | {"a.png": b"mine"}
    (out / "a.png").unlink()
    (out / "a-overlay.png").unlink()
    third = predict_files(predictor, jobs, ["overlay"], overwrite=True)
    assert (len(third.predicted), third.skipped) == (3, [])
    assert contents(out) == whole


def test_what_somebody_else_wrote_is_never_overwritten(predictor: Predictor, album: Path, tmp_path: Path) -> None:
    """A folder of depth maps or hand-made masks as --out, or annotations that lie there."""
    out = tmp_path / "out"
    picture(out / "sea" / "b.png")
    (out / "a.json").write_text("{}")
    before = contents(out)
    jobs = find_jobs([str(album)], out)
    for outputs, overwrite, name in (
        (["overlay"], False, r"sea/b\.png"),
        ([], True, r"sea/b\.png"),
        (["labelme"], True, r"a\.json"),
    ):
        with pytest.raises(DataError, match=rf"{name} was not written by predict and would be overwritten; choose another --out"):
            predict_files(predictor, jobs, outputs, overwrite=overwrite)
        assert contents(out) == before
    assert predict_files(predictor, jobs).skipped == [str(album / "sea" / "b.PNG")]  # it has labels, say by hand


def test_what_somebody_corrected_is_kept_when_another_kind_of_result_is_added(
    predictor: Predictor, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    jobs = find_jobs([str(album)], out)
    predict_files(predictor, jobs, ["labelme"])
    before = contents(out)
    (out / "a.json").write_text("corrected in LabelMe")
    found = predict_files(predictor, jobs, ["labelme", "geojson"])
    assert found.written[str(album / "a.png")] == [str(out / "a.geojson")]
    after = contents(out)
    assert after["a.json"] == b"corrected in LabelMe"
    assert {name for name in before if after[name] != before[name]} == {"a.json"}
    predict_files(predictor, jobs, ["labelme"], overwrite=True)
    assert contents(out)["a.json"] == before["a.json"]


def test_a_run_that_is_stopped_leaves_whole_files_and_goes_on(predictor: Predictor, album: Path, tmp_path: Path) -> None:
    def stop(done: int, of: int, problem: str | None) -> None:
        raise KeyboardInterrupt  # after the first picture; the second is being written then

    everything = ["overlay", "probabilities", "labelme", "coco", "areas"]
    jobs = find_jobs([str(album)], tmp_path / "out", everything)
    with pytest.raises(KeyboardInterrupt):
        predict_files(predictor, jobs, everything, progress=stop)
    assert set(contents(tmp_path / "out")) == {
        *("a.png", "a-overlay.png", "a-probabilities.npy", "a.json"),
        *("sea/b.png", "sea/b-overlay.png", "sea/b-probabilities.npy", "sea/b.json"),
    }
    assert len(predict_files(predictor, jobs, everything).skipped) == 2
    jobs = find_jobs([str(album)], tmp_path / "at once", everything)
    predict_files(predictor, jobs, everything)
    assert {name: part for name, part in contents(tmp_path / "out").items() if not name.endswith(".json")} == {
        name: part for name, part in contents(tmp_path / "at once").items() if not name.endswith(".json")
    }
    assert contents(tmp_path / "out")["coco.json"] == contents(tmp_path / "at once")["coco.json"]


# --- what can be written ---


def test_certainty_as_pictures(predictor: Predictor, album: Path, tmp_path: Path) -> None:
    predict_files(predictor, find_jobs([str(album / "a.png")], tmp_path), ["confidence", "entropy"])
    truth = predictor.predict(album / "a.png", probabilities=True).probabilities
    assert truth is not None
    share = truth.astype(np.float64).clip(1e-300)
    surprise = -(share * np.log(share)).sum(0) / np.log(len(share))
    for name, values in (("confidence", share.max(0)), ("entropy", surprise)):
        with Image.open(tmp_path / f"a-{name}.png") as stored:
            assert stored.mode == "L"
            assert len(np.unique(np.array(stored))) > 5
            np.testing.assert_allclose(np.array(stored) / 255, values, atol=0.5001 / 255)


@pytest.mark.parametrize(("probabilities", "confidence", "entropy"), [([1.0], 1, 0), ([1.0, 0.0], 1, 0), ([0.25] * 4, 0.25, 1)])
def test_certainty_at_its_ends(probabilities: list[float], confidence: float, entropy: float) -> None:
    labels = LabelSet(tuple(map(str, range(len(probabilities)))), voc_colors(len(probabilities)))
    found = Segmentation(np.zeros((1, 1), np.uint8), np.array(probabilities, np.float32)[:, None, None], labels)
    assert found.confidence().tolist() == [[confidence]]
    np.testing.assert_allclose(found.entropy(), [[entropy]], atol=1e-6)


def test_certainty_needs_probabilities() -> None:
    found = Segmentation(np.zeros((1, 1), np.uint8), None, LabelSet(("a",), voc_colors(1)))
    for ask in (found.confidence, found.entropy):
        with pytest.raises(DataError, match="holds no probabilities; predict with probabilities=True"):
            ask()


def test_annotations_of_files(predictor: Predictor, album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = predict_files(predictor, find_jobs([str(album)], out), ["labelme", "geojson", "coco", "areas"])
    assert outcome.summaries == [str(out / "coco.json"), str(out / "areas.csv")]
    for name in ("a.png", "sea/b.PNG", "sea/deep/c.bmp"):
        labelme = (out / name).with_suffix(".json")
        picture_as_seen_from_it = labelme.parent / json.loads(labelme.read_text())["imagePath"]
        assert picture_as_seen_from_it.samefile(album / name)
        assert json.loads((out / name).with_suffix(".geojson").read_text())["features"]
    coco = json.loads((out / "coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["a.png", "sea/b.PNG", "sea/deep/c.bmp"]
    with (out / "areas.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, predicted in zip(rows, outcome.predicted.values(), strict=True):
        assert {name: float(row[f"{name} share"]) for name in predicted} == pytest.approx(predicted, abs=1e-6)


def test_summaries_hold_what_was_predicted_earlier_and_nothing_that_failed(
    predictor: Predictor, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    predict_files(predictor, find_jobs([str(album / "a.png")], out))
    (album / "z.png").write_bytes(b"broken")
    outcome = predict_files(predictor, find_jobs([str(album)], out), ["areas"])
    assert outcome.skipped == [str(album / "a.png")]
    assert (out / "areas.csv").read_text().count("\n") == 1 + 3
    assert "z.png" not in (out / "areas.csv").read_text()


def test_labels_that_are_not_ours_are_reported(predictor: Predictor, album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    picture(out / "a.png")
    outcome = predict_files(predictor, find_jobs([str(album)], out), ["areas", "coco"])
    assert list(outcome.failed) == [str(album / "a.png")]
    assert (
        "a.png: a mask must be a palette or 8-bit grey image that stores labels; this one is RGB"
        in outcome.failed[str(album / "a.png")]
    )
    assert (out / "areas.csv").read_text().count("\n") == 1 + 2


# --- files that mean harm ---


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("path", ["pipe.jpg", "/dev/zero"])
def test_pipes_and_devices_are_not_opened(predictor: Predictor, path: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    outcome = predict_files(predictor, find_jobs([str(tmp_path / path)], tmp_path / "out"))
    assert [problem.partition(": ")[2] for problem in outcome.failed.values()] == [
        "a pipe or a device, not a file; copy its content into a file first"
    ]


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything, so it goes on as somebody else."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_files_and_folders_that_may_not_be_read(predictor: Predictor) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders cannot be entered by others
        folder = Path(name)
        predict_files(predictor, find_jobs([str(picture(folder / "a.png"))], folder / "first"))  # all modules are loaded
        folder.chmod(0o777)
        picture(folder / "sea" / "b.png")
        picture(folder / "z.png").chmod(0)
        (folder / "sea").chmod(0)
        with as_nobody():
            outcome = predict_files(predictor, find_jobs([name], folder / "out"))
            locked = predict_files(predictor, find_jobs([f"{name}/sea"], folder / "out"))
        (folder / "sea").chmod(0o700)
        assert outcome.failed == {path: f"{path}: Permission denied" for path in (f"{name}/sea", f"{name}/z.png")}
        assert str(folder / "a.png") in outcome.predicted
        assert list(locked.failed) == [f"{name}/sea"]


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_memory_that_ends_is_said_and_the_others_go_on(predictor: Predictor, album: Path, tmp_path: Path) -> None:
    Image.new("L", (9_000, 9_000)).save(album / "b.png")
    used = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(used) * 1024 + 500_000_000, before[1]))
    try:
        outcome = predict_files(predictor, find_jobs([str(album)], tmp_path / "out"))
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
    assert list(outcome.failed) == [str(album / "b.png")]
    assert "b.png: no memory for " in outcome.failed[str(album / "b.png")]
    assert len(outcome.predicted) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_the_limit_on_memory_is_what_is_free_and_is_taken_back() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with no_more_than_free():
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        assert 0 < soft < 1 << 48
        with pytest.raises(MemoryError):
            bytearray(soft)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before == (before[0], hard)


def test_pictures_of_one_size_together_give_the_same(predictor: Predictor, album: Path, tmp_path: Path) -> None:
    for number in range(4):
        picture(album / f"d{number}.png")
    (album / "d1.png").write_bytes(b"broken")
    jobs = find_jobs([str(album)], tmp_path / "alone")
    predict_files(predictor, jobs, ["coco"], together=1)
    found = predict_files(predictor, find_jobs([str(album)], tmp_path / "together"), ["coco"], together=3)
    assert list(found.failed) == [str(album / "d1.png")]
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (1, 1)])
def test_thin_pictures(predictor: Predictor, size: tuple[int, int], tmp_path: Path) -> None:
    outcome = predict_files(
        predictor, find_jobs([str(picture(tmp_path / "thin.png", size))], tmp_path / "out"), ["overlay", "geojson"]
    )
    assert outcome.failed == {}
    with Image.open(tmp_path / "out" / "thin.png") as labels:
        assert labels.size == size[::-1]


def test_results_of_another_model_are_not_taken_for_this_one_s(predictor: Predictor, tmp_path: Path) -> None:
    jobs = find_jobs([str(picture(tmp_path / "a.png"))], tmp_path / "out")
    predict_files(predictor, jobs)
    other = load_other(predictor)
    with pytest.raises(DataError, match=r"a\.png was predicted by another model, whose weights have the digest \w{12}, and this"):
        predict_files(other, jobs)
    assert predict_files(other, jobs, overwrite=True).predicted
    assert predict_files(other, jobs).skipped == [str(tmp_path / "a.png")]
    with Image.open(tmp_path / "out" / "a.png") as labels:
        way = labels.info["fullconv"]
        Image.fromarray(np.asarray(labels)).save(tmp_path / "bare.png")
    about = PngImagePlugin.PngInfo()
    about.add_text("fullconv", way.partition(", model ")[0])  # as versions before this one wrote it
    with Image.open(tmp_path / "bare.png") as labels:
        labels.save(tmp_path / "out" / "a.png", pnginfo=about)
    assert predict_files(predictor, jobs).skipped == [str(tmp_path / "a.png")]


def load_other(predictor: Predictor) -> Predictor:
    """Return a predictor of a net that differs in one number."""
    model = copy.deepcopy(predictor.model)
    with torch.no_grad():
        next(model.parameters()).flatten()[0] += 1e-3
    return Predictor(model, predictor.labels)
