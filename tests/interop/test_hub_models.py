"""Models go onto the hub and come back unchanged, through its HTTP interface as a stand-in serves it."""

import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from hub_stand_in import TOKEN, Hub, Repository, serving
from huggingface_hub import constants
from safetensors.torch import save_file

import fullconv
from fullconv.cli import main
from fullconv.errors import SpecError, WeightsError
from fullconv.labels import LabelSet
from fullconv.nn.build import build_model
from fullconv.nn.find_checkpoint import beside
from fullconv.nn.fusion import is_trained_model

ADDRESS = "hf://maria/street"
# of huggingface_hub's own way to upload, which calls its HTTP client as that no longer wants it
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with serving() as hub:
        yield hub


@pytest.fixture
def hub(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """An empty hub, and an empty cache; what HF_ENDPOINT, HF_HOME and HF_TOKEN say when the library is imported."""
    fresh = {"repositories": {}, "large": {}, "asked": [], "status": None, "spoil": False}
    server.__dict__.update(fresh)
    point_at(server.url, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return server


def point_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def published(hub: Hub, checkpoint: Path) -> Hub:
    hub.repositories["maria/street"] = Repository()
    hub.repositories["maria/street"].commit({"model.safetensors": checkpoint.read_bytes(), "notes.txt": b"hello"})
    return hub


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 31, 3), np.uint8)


def test_a_model_is_pushed_and_used_from_there(
    hub: Hub, checkpoint: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["push", str(checkpoint), ADDRESS, "--license", "mit", "--private", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    repository = hub.repositories["maria/street"]
    assert repository.private
    files = repository.commits[repository.branches["main"]]
    assert files["model.safetensors"] == checkpoint.read_bytes()
    assert said["commit"] == f"{hub.url}/maria/street/commit/{repository.branches['main']}"
    card = huggingface_hub.ModelCard(files["README.md"].decode())
    assert (card.data.license, card.data.library_name, card.data.pipeline_tag) == ("mit", "fullconv", "image-segmentation")
    assert "fullconv predict hf://maria/street photo.jpg" in card.text
    expected = fullconv.load(checkpoint, "cpu").predict(image).labels
    for name in (ADDRESS, Path(ADDRESS), f"{ADDRESS}@main", f"{ADDRESS}@{repository.branches['main']}/model.safetensors"):
        np.testing.assert_array_equal(fullconv.load(name, "cpu").predict(image).labels, expected)
    assert hub.fetched() == 1  # the others are in the cache
    assert is_trained_model(ADDRESS)


def test_a_card_on_the_hub_stays_unless_one_is_given(
    hub: Hub, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.repositories["maria/street"] = Repository()
    hub.repositories["maria/street"].commit({"README.md": b"mine"})
    assert main(["push", str(checkpoint), ADDRESS]) == 0
    assert "the card that was there stays" in capsys.readouterr().err
    repository = hub.repositories["maria/street"]
    assert repository.commits[repository.branches["main"]]["README.md"] == b"mine"
    (tmp_path / "card.md").write_text("a new one")
    assert main(["push", str(checkpoint), ADDRESS, "--card", str(tmp_path / "card.md")]) == 0
    assert repository.commits[repository.branches["main"]]["README.md"] == b"a new one"


def test_nothing_private_is_pushed_to_a_page_that_all_can_see(
    published: Hub, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    before = dict(published.repositories["maria/street"].branches)
    assert main(["push", str(checkpoint), ADDRESS, "--private"]) == 1
    assert "hf://maria/street exists already and is public" in capsys.readouterr().err
    assert published.repositories["maria/street"].branches == before


def test_who_may_not_write_is_told(hub: Hub, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(checkpoint), ADDRESS]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: cannot push to {ADDRESS}: ")
    assert "log in by `hf auth login` or set HF_TOKEN" in error
    assert error.count("\n") == 1


def test_offline_the_cache_goes_on(published: Hub, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fullconv.load(ADDRESS, "cpu").predict(image).labels
    published.status = 503
    np.testing.assert_array_equal(fullconv.load(ADDRESS, "cpu").predict(image).labels, before)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(published.asked)
    np.testing.assert_array_equal(fullconv.load(ADDRESS, "cpu").predict(image).labels, before)
    assert len(published.asked) == asked


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://maria/park", r"hf://maria/park: http\S+ has no such model, or it is private; check the name, or log in"),
        ("hf://maria/street@v2", "the model has no such branch, tag or commit"),
        ("hf://maria/street/best.safetensors", "no file best.safetensors; write hf://maria/street/FILE with model.safetensors"),
        ("hf://maria/street/model.ckpt", "only .safetensors files are taken, as others could run code"),
        ("hf://maria", r"hf://maria is no address of the hub .*; write hf://owner/name\[@revision\]"),
        ("hf://datasets/maria/streets", "is a dataset and no model"),
        ("hf://maria/secret", "maria/secret: http\\S+ has no such model, or it is private"),
        ("hf://maria/gated", "its owner grants access one by one; ask for it on http\\S+/maria/gated"),
        ("hf://maria/other", "holds weights, but no fullconv model"),
    ],
)
def test_what_cannot_be_had_is_one_clear_line(published: Hub, address: str, message: str, tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    content = {"model.safetensors": (tmp_path / "other.safetensors").read_bytes()}
    for name, repository in (("secret", Repository(private=True)), ("gated", Repository(gated=True)), ("other", Repository())):
        published.repositories[f"maria/{name}"] = repository
        repository.commit(content)
    with pytest.raises(WeightsError, match=message) as caught:
        fullconv.load_checkpoint(address)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", ["down", "offline", "nobody"])
def test_without_hub_and_cache(published: Hub, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "down":
        published.status = 503
    elif how == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        point_at("http://127.0.0.1:9", monkeypatch)  # a port that nobody listens on
    why = "HF_HUB_OFFLINE is set" if how == "offline" else r"http\S+ cannot be reached"
    with pytest.raises(WeightsError, match=f"hf://maria/street: it is not in the cache .*, and {why}; go online once"):
        fullconv.load_checkpoint(ADDRESS)


def test_a_file_that_is_damaged_on_the_way_is_refused(published: Hub) -> None:
    published.spoil = True
    with pytest.raises(WeightsError, match="is not what the hub's checksum says, so it is damaged, and it was fetched twice"):
        fullconv.load_checkpoint(ADDRESS)
    assert published.fetched() == 2


def test_a_file_that_is_damaged_in_the_cache_is_fetched_again(published: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(str(fullconv.load_checkpoint(ADDRESS).model.stored["file"])).resolve()
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    fullconv.load_checkpoint(ADDRESS)
    assert path.read_bytes() == whole
    assert published.fetched() == 2
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="so it is damaged, and the hub cannot be reached to fetch it again"):
        fullconv.load_checkpoint(ADDRESS)


def test_nothing_is_written_beside_what_is_not_ones_own(tmp_path: Path) -> None:
    assert beside(tmp_path / "model.safetensors", "crf.json") == tmp_path / "crf.json"
    with pytest.raises(SpecError, match=r"hf://maria/street is no file of your own, beside which crf.json could lie; say --out"):
        beside(Path(ADDRESS), "crf.json")


def test_from_pretrained_is_as_other_libraries_have_it(published: Hub, checkpoint: Path, tmp_path: Path) -> None:
    expected = fullconv.load_checkpoint(checkpoint).model.state_dict()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "model.safetensors").write_bytes(checkpoint.read_bytes())
    for name in ("maria/street", ADDRESS, tmp_path / "own", str(checkpoint)):
        model = fullconv.FCN.from_pretrained(name)
        assert isinstance(model, fullconv.FCN)
        assert not model.training
        assert all(torch.equal(tensor, expected[key]) for key, tensor in model.state_dict().items())
    oid = published.repositories["maria/street"].commit({"model.safetensors": b"later"})
    first = next(name for name in published.repositories["maria/street"].commits if name != oid)
    assert isinstance(fullconv.FCN.from_pretrained("maria/street", revision=first, local_files_only=True), fullconv.FCN)
    with pytest.raises(WeightsError, match="only those have revisions"):
        fullconv.FCN.from_pretrained(checkpoint, revision="main")


def test_a_model_is_saved_with_all_that_its_file_said(checkpoint: Path, tmp_path: Path) -> None:
    found = fullconv.load_checkpoint(checkpoint)
    (tmp_path / "README.md").write_text("mine")
    assert found.model.save_pretrained(tmp_path) == tmp_path
    again = fullconv.load_checkpoint(tmp_path / "model.safetensors")
    assert again.header == found.header
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_model_that_was_built_must_be_told_its_classes(hub: Hub, tmp_path: Path) -> None:
    model = build_model("fcn32s-minivgg", 2)
    with pytest.raises(WeightsError, match=r"nobody knows its classes; give labels=\{'semantic': LabelSet\(names\)\}"):
        model.save_pretrained(tmp_path)
    labels = {"semantic": LabelSet(("cat", "dog"))}
    address = model.push_to_hub("maria/pets", token=TOKEN, labels=labels, license="mit")
    assert address.startswith(f"{hub.url}/maria/pets/commit/")
    found = fullconv.load_checkpoint("hf://maria/pets")
    assert found.labels == labels


def test_scores_do_not_outlive_the_weights_that_had_them(checkpoint: Path, tmp_path: Path) -> None:
    found = fullconv.load_checkpoint(checkpoint)
    scored = [{"stage": "8s", "steps": 3, "kept": None, "heads": {"semantic": {"mean_iu": 0.9}}}]
    fullconv.save_checkpoint(tmp_path / "scored.safetensors", found.model, found.labels, scored)
    model = fullconv.load_checkpoint(tmp_path / "scored.safetensors").model
    (tmp_path / "same").mkdir()
    (tmp_path / "same" / "README.md").touch()
    model.save_pretrained(tmp_path / "same")
    assert fullconv.load_checkpoint(tmp_path / "same" / "model.safetensors").history == scored
    with torch.no_grad():
        next(model.parameters()).add_(0.1)
    model.save_pretrained(tmp_path / "changed")
    history = fullconv.load_checkpoint(tmp_path / "changed" / "model.safetensors").history
    assert history == [{"stage": "8s", "steps": 3}, {"data": "weights changed after they were loaded; not measured since"}]
    assert "Not measured" in (tmp_path / "changed" / "README.md").read_text()
