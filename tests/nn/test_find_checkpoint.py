"""A name leads to the file of an installed model; packages are looked up as pip leaves them, and never imported."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import fullconv
from fullconv.errors import WeightsError
from fullconv.nn import find_checkpoint as module
from fullconv.nn.find_checkpoint import find_checkpoint, installed, is_published, published_card


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages with the model ``toy`` in ``toy_model``, as pip writes it."""
    folder = tmp_path / "site"
    (folder / "toy_model").mkdir(parents=True)
    (folder / "toy_model" / "__init__.py").write_text("raise RuntimeError('a model was imported')")
    (folder / "toy_model-1.dist-info").mkdir()
    (folder / "toy_model-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-model\nVersion: 1\n")
    (folder / "toy_model-1.dist-info" / "entry_points.txt").write_text("[fullconv.models]\ntoy = toy_model\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(module, "REPOSITORY", tmp_path / "repository")
    installed.cache_clear()
    yield folder
    installed.cache_clear()


def test_an_installed_model_is_found_by_its_name(site: Path, checkpoint: Path) -> None:
    file = site / "toy_model" / "model.safetensors"
    with pytest.raises(WeightsError, match=r"the model toy is installed in .*toy_model, but its model.safetensors is missing"):
        find_checkpoint("toy")
    file.write_bytes(checkpoint.read_bytes())
    assert find_checkpoint("toy") == find_checkpoint(Path("toy")) == file
    assert is_published("toy")
    assert fullconv.load("toy", "cpu").labels == fullconv.load(checkpoint, "cpu").labels


def test_a_file_goes_before_a_model_of_its_name(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("toy").write_text("mine")
    assert find_checkpoint("toy") == Path("toy")
    assert not is_published("toy")


def test_our_models_are_there_in_the_repository(site: Path, tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"voc-subset is not installed; in a copy .*: pip install ./models/voc-subset; or name"
    ):
        fullconv.load_checkpoint("voc-subset")
    file = tmp_path / "repository" / "models" / "voc-subset" / "src" / "fullconv_voc_subset" / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_text("")
    assert find_checkpoint("voc-subset") == file


@pytest.mark.parametrize("name", ["nothing", "some/where.safetensors", "", "imagenet"])
def test_other_names_are_paths(site: Path, name: str) -> None:
    assert find_checkpoint(name) == Path(name)
    assert not is_published(name)


@pytest.mark.parametrize(
    ("name", "answer"), [("toi", "did you mean toy\\? Else give a model"), ("voc-subst", "did you mean voc-subset")]
)
def test_a_slip_in_a_models_name_is_answered(site: Path, name: str, answer: str) -> None:
    with pytest.raises(WeightsError, match=rf"no checkpoint {name}: no such file; {answer}"):
        fullconv.load_checkpoint(name)


@pytest.mark.parametrize("name", ["zebra", "runs/toi", "toi.safetensors"])
def test_what_is_no_slip_gets_no_model_of_another_name(site: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=rf"no checkpoint {name}: no such file; give a model"):
        fullconv.load_checkpoint(name)


def test_the_card_of_a_package_is_its_description(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = site / "toy_model-1.dist-info" / "METADATA"
    assert published_card("toy") is None
    metadata.write_text(
        f"{metadata.read_text()}Description-Content-Type: text/markdown\n\n---\nlicense: mit\n---\n# Größe\n", "utf-8"
    )
    assert published_card("toy") == "---\nlicense: mit\n---\n# Größe\n"
    card = tmp_path / "repository" / "models" / "voc-subset" / "README.md"
    assert published_card("voc-subset") is None
    card.parent.mkdir(parents=True)
    card.write_text("mine")
    assert published_card("voc-subset") == "mine"
    monkeypatch.chdir(tmp_path)
    Path("toy").write_text("a file goes before the model")
    assert published_card("toy") is None
    assert published_card("hf://owner/toy") is None
