"""The addresses: what they answer is what the library computes."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from served import as_file, photograph
from starlette.testclient import TestClient

from fullconv.cli import main
from fullconv.formats.annotations import draw
from fullconv.formats.coco import read_coco
from fullconv.formats.geojson import read_geojson
from fullconv.formats.labelme import read_labelme
from fullconv.inference.load import load
from fullconv.nn.describe import describe
from fullconv.serve.app import create_app
from fullconv.serve.service import Service
from fullconv.serve.settings import Settings

PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def predicted(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes for the image."""
    folder = tmp_path_factory.mktemp("predicted")
    (folder / "a.png").write_bytes(as_file(photograph()))
    arguments = ["predict", str(checkpoint), str(folder / "a.png"), "--out", str(folder / "labels")]
    assert main([*arguments, "--overlay", "--confidence", "--entropy", "--probabilities"]) == 0
    return folder / "labels"


@pytest.mark.parametrize(
    ("format", "file"),
    [("png", "a.png"), ("overlay", "a-overlay.png"), ("confidence", "a-confidence.png"), ("entropy", "a-entropy.png")],
)
def test_images_are_those_of_predict_to_the_byte(client: TestClient, predicted: Path, format: str, file: str) -> None:
    found = client.post(f"/v1/segment?format={format}", content=as_file(photograph()), headers=PNG)
    assert (found.status_code, found.headers["content-type"]) == (200, "image/png")
    assert found.content == (predicted / file).read_bytes()
    assert found.headers["x-fullconv-model"] == "scenes"
    assert float(found.headers["x-fullconv-seconds"]) > 0


def test_a_form_and_a_body_are_answered_alike(client: TestClient, predicted: Path) -> None:
    form = client.post("/v1/segment", files={"image": ("a.png", as_file(photograph()), "image/png")})
    bare = client.post("/v1/segment", content=as_file(photograph()), headers={"content-type": "application/octet-stream"})
    assert form.content == bare.content == (predicted / "a.png").read_bytes()


def test_probabilities_are_those_of_predict(client: TestClient, predicted: Path) -> None:
    found = client.post("/v1/segment?format=npz", content=as_file(photograph()), headers=PNG)
    archive = np.load(io.BytesIO(found.content))
    assert np.array_equal(archive["probabilities"], np.load(predicted / "a-probabilities.npy"))
    assert np.array_equal(archive["labels"], np.array(Image.open(predicted / "a.png")))


def test_json_counts_every_class(client: TestClient, predicted: Path, checkpoint: Path) -> None:
    found = client.post("/v1/segment?format=json", content=as_file(photograph()), headers=PNG).json()
    labels, classes = np.array(Image.open(predicted / "a.png")), load(checkpoint).labels["semantic"]
    assert (found["model"], found["head"], found["width"], found["height"]) == ("scenes", "semantic", 56, 40)
    assert [one["name"] for one in found["classes"]] == list(classes.names)
    assert [tuple(one["color"]) for one in found["classes"]] == list(classes.colors)
    for one in found["classes"]:
        assert one["pixels"] == int((labels == one["id"]).sum())
        assert one["share"] == pytest.approx(one["pixels"] / 2240)


@pytest.mark.parametrize(("layout", "read"), [("coco", read_coco), ("labelme", read_labelme), ("geojson", read_geojson)])
def test_polygons_drawn_again_are_the_labels(
    client: TestClient, predicted: Path, checkpoint: Path, layout: str, read: object
) -> None:
    found = client.post(f"/v1/segment?format=json&polygons={layout}", content=as_file(photograph()), headers=PNG).json()
    names = load(checkpoint).labels["semantic"].names
    (image,) = read(found["polygons"], Path("image.json")).images  # type: ignore[operator]
    drawn = draw(image, (40, 56), {name: k for k, name in enumerate(names)})
    assert np.array_equal(drawn, np.array(Image.open(predicted / "a.png")))


def test_refinement_is_that_of_predict(client: TestClient, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(as_file(photograph(20, 30)))
    assert main(["predict", str(checkpoint), str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--refine", "crf"]) == 0
    found = client.post("/v1/segment?refine=1", content=as_file(photograph(20, 30)), headers=PNG)
    assert found.content == (tmp_path / "out" / "a.png").read_bytes()


def test_models_are_described(client: TestClient, checkpoint: Path) -> None:
    first, second = client.get("/v1/models").json()
    assert (first["name"], first["default"], second["name"], second["default"]) == ("scenes", True, "again", False)
    classes = load(checkpoint).labels["semantic"]
    assert [one["name"] for one in first["heads"]["semantic"]] == list(classes.names)
    assert (first["backbone"], first["stride"], first["scores"]) == ("minivgg", 8, None)
    assert first["preprocessing"]["rgb"]["channels"] == "RGB"


def test_another_model_and_head_are_taken_by_name(client: TestClient) -> None:
    found = client.post("/v1/segment?model=again&head=semantic", content=as_file(photograph()), headers=PNG)
    assert found.headers["x-fullconv-model"] == "again"
    for query, said in (("model=none", "there are scenes, again"), ("head=none", "it has semantic")):
        refused = client.post(f"/v1/segment?{query}", content=as_file(photograph()), headers=PNG)
        assert refused.status_code == 404
        assert said in refused.json()["detail"]


def test_geometry_is_that_of_the_command(client: TestClient) -> None:
    found = client.get("/v1/geometry").json()
    truth = describe("fcn8s-minivgg", (64, 64))["layers"]
    own = client.get("/v1/geometry/minivgg?stride=8").json()
    told = {layer["name"]: layer for layer in own["layers"]}
    for layer in truth:
        assert told[layer["name"]]["stride"] == [layer["stride"]] * 2
        assert told[layer["name"]]["offset"] == [layer["offset"]] * 2
        assert told[layer["name"]]["receptive_field"] == [layer["receptive_field"]] * 2
    assert (found["backbone"], found["stride"], found["skips"]) == ("minivgg", 8, [32, 16, 8])


def test_the_pixels_that_an_entry_depends_on(client: TestClient) -> None:
    layers = client.get("/v1/geometry/minivgg?stride=32").json()["layers"]
    place = next(k for k, layer in enumerate(layers) if layer["receptive_field"] == [3, 3])  # the first convolution
    found = client.get(f"/v1/geometry/minivgg?stride=32&layer={place}&row=0&column=20&height=64&width=80").json()
    spans = found["depends_on"]
    assert spans["columns"][1] - spans["columns"][0] == 2
    assert spans["rows"] in ([0, 1], [0, 2])  # cut at the image's edge, or inside of it
    half = client.get(f"/v1/geometry/minivgg?layer={place}&row=0")
    assert (half.status_code, "together" in half.json()["detail"]) == (422, True)
    beyond = client.get("/v1/geometry/minivgg?layer=0&row=64&column=0&height=64&width=80")
    assert (beyond.status_code, "64×80 entries" in beyond.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/v1/geometry/nothing", 404, "fullconv models"),
        ("/v1/geometry/os:system", 404, "fullconv models"),
        ("/v1/geometry/timm/hf-hub:someone/net", 404, "fullconv models"),
        ("/v1/geometry/minivgg?stride=7", 422, "32, 16, 8, 4"),
        ("/v1/geometry/minivgg?padding=none", 422, "padding"),
        ("/v1/geometry?size=3", 422, "size is no parameter of this address"),
        ("/nowhere", 404, "/docs"),
        ("/v1/segment", 405, "another method"),
    ],
)
def test_what_is_not_there_is_a_problem(client: TestClient, address: str, status: int, said: str) -> None:
    found = client.get(address)
    assert found.headers["content-type"] == "application/problem+json"
    problem = found.json()
    assert (found.status_code, problem["status"]) == (status, status)
    assert set(problem) == {"type", "title", "status", "detail"}
    assert said in problem["detail"]


def test_a_slip_in_the_query_is_seen(client: TestClient) -> None:
    for query, said in (
        ("polygonz=coco", "polygonz is no parameter of this address; /docs lists those that are"),
        ("format=jpg", "format"),
        ("polygons=coco", "format=json"),
        ("refine=perhaps", "refine"),
    ):
        found = client.post(f"/v1/segment?{query}", content=as_file(photograph()), headers=PNG)
        assert found.status_code == 422
        assert said in found.json()["detail"]


def test_state_metrics_and_documentation(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    client.post("/v1/segment", content=as_file(photograph()), headers=PNG)
    text = client.get("/metrics").text
    assert 'fullconv_requests_total{route="/v1/segment",status="200"}' in text
    assert 'fullconv_phase_seconds_count{phase="compute"}' in text
    assert "fullconv_queue 0.0" in text
    assert "fullconv_held_bytes 0.0" in text
    (memory,) = (line.split()[1] for line in text.splitlines() if line.startswith("fullconv_memory_bytes "))
    assert float(memory) > 1e6
    page = client.get("/docs")
    assert "POST /v1/segment" in page.text
    assert "http" not in page.text.replace("http-equiv", "")  # nothing from elsewhere
    assert {"/v1/segment", "/v1/models", "/healthz"} <= set(json.loads(client.get("/openapi.json").text)["paths"])


def test_the_page_is_read_from_its_folder_and_nowhere_else(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.js").write_text("secret")
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<title>page</title>")
    (folder / "page.js").write_text("let a")
    (folder / "notes.txt").write_text("note")
    client = TestClient(create_app(Service(Settings((("scenes", str(checkpoint)),))), folder))  # not started: the page is there
    assert client.get("/").text == "<title>page</title>"
    assert client.get("/page/page.js").headers["content-type"] == "text/javascript; charset=utf-8"
    for name in ("notes.txt", "../secret.js", "..%2Fsecret.js", "none.js"):
        assert client.get(f"/page/{name}").status_code == 404


def test_answers_say_what_browsers_may_do_with_them(client: TestClient) -> None:
    for found in (client.get("/healthz"), client.get("/nowhere"), client.get("/healthz", headers={"origin": "http://evil.test"})):
        assert "default-src 'none'" in found.headers["content-security-policy"]
        assert found.headers["x-content-type-options"] == "nosniff"
        assert not any(name.startswith("access-control") for name in found.headers)
