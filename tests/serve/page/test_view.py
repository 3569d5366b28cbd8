"""What ``fullconv view`` shows of runs, folders and reports is what the library measures; and only this machine sees it."""

import io
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient
from tests.serve.page.conftest import at_port, check_access

from fullconv.cli import main
from fullconv.cli.view import model_of_run, open_view
from fullconv.data import open_dataset
from fullconv.data.scenes.scenes import Scenes
from fullconv.errors import DataError
from fullconv.evaluation import compare
from fullconv.evaluation.tables import write_images
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.labels import LabelSet
from fullconv.nn.build import build_model
from fullconv.serve.service import Service
from fullconv.serve.settings import Settings
from fullconv.serve.view import DataView
from fullconv.serve.view_app import create_view_app
from fullconv.serve.view_report import ReportView
from fullconv.spec import DataSpec
from made_runs import make_run

LOCAL = "http://127.0.0.1"
SPEC = DataSpec(name="scenes", size=(32, 48), count=2, val_count=4)


def empty_service() -> Service:
    return Service(Settings(models=(), batch=1))


def wait(view: DataView) -> None:
    while not view.is_done:
        time.sleep(0.01)


def labels_in(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def test_scores_truth_and_predictions_are_the_librarys(checkpoint: Path) -> None:
    dataset, predictor = open_dataset(SPEC, "val"), load(checkpoint)
    expected = compare({"model": (predictor.labels_of, dataset.labels["semantic"])}, dataset).first
    view = DataView("scenes", [dataset], predictor, spec=SPEC)
    with TestClient(create_view_app(view, empty_service()), base_url=LOCAL) as client:
        wait(view)
        told = client.get("/v1/view").json()
        assert (told["sources"], told["done"], told["progress"]) == (["prediction", "truth"], True, "")
        np.testing.assert_allclose([image["score"] for image in told["images"]], expected.images["mean_iu"])
        assert [image["name"] for image in told["images"]] == [dataset[index].name for index in range(4)]
        assert {finding["level"] for finding in told["findings"]} <= {"error", "warning", "note"}
        assert told["findings"]
        sample = dataset[2]
        found = predictor.predict(sample.picture, probabilities=True)
        parts = {
            "image": sample.picture,
            "truth": sample.targets["semantic"].numpy(),
            "prediction": found.labels,
            "confidence": (255 * found.confidence()).round(),
            "entropy": (255 * found.entropy()).round(),
        }
        for name, wanted in parts.items():
            answer = client.get(f"/v1/view/2/{name}")
            np.testing.assert_array_equal(labels_in(answer.content), wanted, err_msg=name)
        with Image.open(io.BytesIO(client.get("/v1/view/2/thumbnail").content)) as small:
            assert small.format == "JPEG"
        assert client.get("/v1/view/4/image").status_code == 404
        assert client.get("/v1/view/-1/image").status_code == 404
        assert client.get("/v1/view/0/recipe").status_code == 422
        assert client.get("/v1/models").json() == []
        assert "app.js" in client.get("/view").text


def test_other_sites_do_not_reach_it() -> None:
    view = DataView("scenes", [open_dataset(SPEC, "val")])
    with TestClient(create_view_app(view, empty_service()), base_url="http://evil.example") as client:
        assert client.get("/v1/view").status_code == 400


def test_a_model_of_other_classes_is_refused() -> None:
    predictor = Predictor(build_model("fcn32s-minivgg", 2), {"semantic": LabelSet(("cat", "dog"))})
    with pytest.raises(DataError, match="model and data have other classes"):
        DataView("scenes", [open_dataset(SPEC, "val")], predictor)


def test_a_folder_is_looked_through_with_its_damage(tmp_path: Path) -> None:
    scenes = Scenes("train", 3, (32, 48))
    for index in range(3):
        for folder, picture in (
            ("images", Image.fromarray(scenes[index].picture)),
            ("masks", scenes.labels["semantic"].to_image(scenes[index].targets["semantic"].numpy())),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            picture.save(tmp_path / folder / f"{index}.png")
    view = open_view(tmp_path, None, None, None)
    damaged = tmp_path / "images" / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    view.start()
    wait(view)
    entries = sorted(view.entries, key=lambda entry: "1.png" in entry.problem)
    assert sorted(entry.name for entry in entries[:2]) == ["0", "2"]
    assert "1.png" in entries[2].problem
    assert any(finding.level == "error" for finding in view.findings)
    good = entries[0]
    np.testing.assert_array_equal(labels_in(view.image(good.id)), scenes[int(good.name)].picture)
    with pytest.raises(DataError, match="give one by --model"):
        view.labels(good.id, "prediction")


def test_a_run_brings_its_model_and_its_validation_images(checkpoint: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert model_of_run(run) is None  # not there yet
    shutil.copy(checkpoint, run / "model.safetensors")
    assert model_of_run(run) == run / "model.safetensors"
    assert model_of_run(tmp_path) is None
    predictor = load(checkpoint)
    told = open_view(run, predictor, None, None).describe()
    assert (told["title"], told["sources"]) == ("run", ["prediction", "truth"])
    assert "scenes val" in told["about"]
    assert "scenes train" in open_view(run, predictor, "train", None).describe()["about"]


def test_a_report_shows_its_worst_images(checkpoint: Path, tmp_path: Path) -> None:
    dataset, predictor = open_dataset(SPEC, "val"), load(checkpoint)
    found = compare({"model": (predictor.labels_of, dataset.labels["semantic"])}, dataset)
    write_images(found, tmp_path / "per-image.csv")
    (tmp_path / "report.json").write_text(json.dumps(found.to_dict()))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "worst-1-1.png").write_bytes(b"a picture")
    told = ReportView(tmp_path).describe()
    scores = [image["score"] for image in told["images"]]
    assert scores == sorted(scores)
    np.testing.assert_allclose(scores, sorted(found.first.images["mean_iu"]))
    assert ReportView(tmp_path).image(0) == b"a picture"
    assert [bool(image["problem"]) for image in told["images"]] == [False, True, True, True]
    with pytest.raises(DataError, match="a report keeps pictures, no labels"):
        ReportView(tmp_path).image(1)
    (tmp_path / "per-image.csv").write_text("image\n")
    with pytest.raises(DataError, match="the report is damaged"):
        ReportView(tmp_path)


def test_the_page_opens_the_worst_image(checkpoint: Path, visit: Callable[..., Page]) -> None:
    dataset, predictor = open_dataset(SPEC, "val"), load(checkpoint)
    view = DataView("scenes", [dataset], predictor)
    with at_port(create_view_app(view, empty_service())) as address:
        wait(view)
        page = visit(f"{address}view")
        worst = min(view.entries, key=lambda entry: entry.score or 0)
        first = page.locator("#data-images button").first
        expect(first).to_contain_text(f"{worst.name}IU {100 * (worst.score or 0):.1f} %")
        expect(page.locator("#legend li").first).to_be_visible()
        check_access(page)
        page.check("input[value=differences]")
        page.locator("#save-box summary").click()
        with page.expect_download() as found:
            page.locator("#save-view").click()
        red = labels_in(found.value.path().read_bytes()).astype(int)
        truth, labels = dataset[worst.id].targets["semantic"].numpy(), predictor.labels_of(dataset[worst.id].inputs)
        wrong = (truth != labels) & (truth != 255)
        assert (red[wrong][:, 0] >= 210).all()
        assert (red[~wrong & (truth != 255)][:, 0] < 150).all()


def test_the_command_says_what_it_cannot_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(tmp_path / "none")]) == 1
    assert "give a run, a report, a folder of images and masks, or a recipe" in capsys.readouterr().err
    (tmp_path / "report.json").write_text(json.dumps({}))
    (tmp_path / "per-image.csv").write_text("image,mean_iu\n")
    assert main(["view", str(tmp_path)]) == 1
    assert "the report is damaged" in capsys.readouterr().err
