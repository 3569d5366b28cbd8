"""``predict --voc-submission comp6``: the archive for VOC's server, and what stops it."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fullconv.cli import main
from fullconv.labels import VOC
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.spec import ModelSpec


@pytest.fixture(scope="module")
def voc_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn8s-minivgg", hidden_layers=False), {"semantic": len(VOC)})
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    path = tmp_path_factory.mktemp("voc") / "model.safetensors"
    save_checkpoint(path, model, {"semantic": VOC})
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "JPEGImages"
    folder.mkdir()
    for number in (1, 4):
        noise = np.random.default_rng(number).integers(0, 256, (20 + number, 30, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"2008_{number:06d}.jpg")
    return folder


def test_the_archive_holds_what_is_predicted(
    voc_model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", str(voc_model), str(images), "--out", f"{tmp_path}/out", "--voc-submission", "comp6"]
    assert main(arguments) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "out/comp6.tgz holds 2 images; VOC2012's test set has 1456, and the server wants all" in said
    with tarfile.open(tmp_path / "out/comp6.tgz") as archive:
        names = archive.getnames()
        assert names == [f"results/VOC2012/Segmentation/comp6_test_cls/2008_{n:06d}.png" for n in (1, 4)]
        for name in names:
            content = archive.extractfile(name)
            assert content is not None
            with Image.open(io.BytesIO(content.read())) as sent, Image.open(tmp_path / "out" / Path(name).name) as written:
                np.testing.assert_array_equal(np.array(sent), np.array(written))


def test_a_broken_picture_is_named_and_left_out(
    voc_model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "2008_000006.jpg").write_bytes(b"")
    arguments = ["predict", str(voc_model), str(images), "--out", f"{tmp_path}/out", "--voc-submission", "comp6"]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "2008_000006.jpg" in said
    assert "holds 2 images" in " ".join(said.split())


def test_pictures_and_models_that_are_not_vocs(
    voc_model: Path, checkpoint: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = ["--out", f"{tmp_path}/out", "--voc-submission", "comp6"]
    assert main(["predict", str(checkpoint), str(images), *rest]) == 1
    assert "comp6 needs a model of VOC's 21 classes in their order, background first; this one has 7" in capsys.readouterr().err
    Image.new("RGB", (9, 9)).save(images / "cat.png")
    assert main(["predict", str(voc_model), str(images), *rest]) == 1
    assert "1 of 3 are not called as VOC's images, such as 2008_000006.jpg: cat" in capsys.readouterr().err
    (images / "cat.png").unlink()
    (images / "more").mkdir()
    Image.new("RGB", (9, 9)).save(images / "more/2008_000001.png")
    assert main(["predict", str(voc_model), str(images), *rest]) == 1
    assert "1 of 3 are of one name: 2008_000001" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
