"""Prediction on images with depth beside them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fullconv.cli import main
from fullconv.data.depth.intrinsics import NYUD, Intrinsics
from fullconv.data.depth.rgbd import inputs_for, parse_camera
from fullconv.data.scenes.scenes import SEMANTIC, Scenes
from fullconv.errors import DataError, SpecError
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.inference.rgbd import Depths, depths_for
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.spec import ModelSpec

SIZE = 48, 64
CAMERA = Intrinsics(60, 60, 31.5, 23.5, SIZE)


def write_model(path: Path, *streams: str) -> Path:
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn8s-minivgg", streams=streams), {"semantic": len(SEMANTIC)})
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    save_checkpoint(path, model, {"semantic": SEMANTIC})
    return path


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("fused") / "model.safetensors", "rgb+depth", "hha")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Two rooms with their depth in millimetres, in the same tree."""
    scenes = Scenes("val", count=2, size=SIZE, streams=("rgb", "depth"))
    for index, name in enumerate(("a", "kitchen/b")):
        for folder in ("rgb", "depth"):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        sample = scenes[index]
        Image.fromarray(sample.picture).save(tmp_path / "rgb" / f"{name}.png")
        millimetres = (sample.inputs["depth"].numpy()[0] * 1000).round().astype(np.uint16)
        Image.fromarray(millimetres).save(tmp_path / "depth" / f"{name}.png")
    return tmp_path


def test_the_command_gives_what_the_model_gives(fused: Path, album: Path) -> None:
    camera = "60,60,31.5,23.5,48,64"
    arguments = ["predict", str(fused), f"{album}/rgb", "--out", f"{album}/out", "--depth", f"{album}/depth"]
    assert main([*arguments, "--depth-unit", "millimetres", "--camera", camera]) == 0
    predictor = load(fused, "cpu")
    for name in ("a", "kitchen/b"):
        image = np.array(Image.open(album / "rgb" / f"{name}.png"))
        depth = np.array(Image.open(album / "depth" / f"{name}.png"), np.float32) / 1000
        given = inputs_for(predictor.model.inputs, image, depth, CAMERA)
        tensors = {
            key: torch.from_numpy(value.transpose(2, 0, 1).copy())
            for key, value in given.items()
            if key in predictor.model.inputs
        }
        expected = predictor.logits(tensors)["semantic"][0].argmax(0).numpy()
        np.testing.assert_array_equal(np.array(Image.open(album / "out" / f"{name}.png")), expected)
        assert (predictor.predict(image, depth=depth, camera=CAMERA).labels == expected).all()


def test_the_unit_decides_what_the_model_is_given(fused: Path, album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same room stored in three units gives the same labels, and in a unit that it was not stored in, others."""
    camera, picture = ["--camera", "60,60,31.5,23.5,48,64"], f"{album}/rgb/a.png"
    millimetres = np.array(Image.open(album / "depth/a.png"))
    np.save(album / "metres.npy", millimetres / 1000)
    np.save(album / "centimetres.npy", millimetres / 10)
    stored = {
        "millimetres": album / "depth/a.png",
        "metres": album / "metres.npy",
        "centimetres": album / "centimetres.npy",
        "0.001": album / "depth/a.png",
        "0.003": album / "depth/a.png",  # three times as far: plausible, and wrong
    }
    labels, median = {}, np.median(millimetres[millimetres > 0])
    for unit, path in stored.items():
        given = ["--depth", str(path), "--depth-unit", unit, *camera]
        assert main(["predict", str(fused), picture, "--out", f"{album}/{unit}", *given]) == 0
        labels[unit] = np.array(Image.open(album / unit / "a.png"))
        metres = median * (0.003 if unit == "0.003" else 0.001)
        assert f"a median of {metres:.2g} m" in capsys.readouterr().err
    for unit in ("metres", "centimetres", "0.001"):
        np.testing.assert_array_equal(labels[unit], labels["millimetres"])
    assert (labels["0.003"] != labels["millimetres"]).any()


def test_one_picture_takes_one_file_of_depth(fused: Path, album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--depth-unit", "millimetres", "--camera", "60,60,31.5,23.5,48,64"]
    picture, depth = f"{album}/rgb/kitchen/b.png", f"{album}/depth/kitchen/b.png"
    assert main(["predict", str(fused), picture, "--out", f"{album}/one", "--depth", depth, *given]) == 0
    assert main(["predict", str(fused), picture, "--out", f"{album}/two", "--depth", f"{album}/depth/kitchen", *given]) == 0
    assert (album / "one" / "b.png").read_bytes() == (album / "two" / "b.png").read_bytes()
    capsys.readouterr()
    assert main(["predict", str(fused), f"{album}/rgb", "--out", f"{album}/out", "--depth", depth, *given]) == 1
    assert capsys.readouterr().err == (
        f"error: --depth {depth} is the depth of one image, and there are 2; give a folder of depth maps\n"
    )


def test_depth_of_other_kinds_is_read_too(album: Path) -> None:
    millimetres = np.array(Image.open(album / "depth/a.png"))
    (album / "depth/a.png").unlink()
    Image.fromarray(millimetres).save(album / "depth/a.PNG")
    assert Depths(album / "depth", "millimetres").read(Path("a.jpeg"))[20, 20] == pytest.approx(millimetres[20, 20] / 1000)
    (album / "depth/a.PNG").unlink()
    np.save(album / "depth/a.npy", millimetres)
    assert Depths(album / "depth", "millimetres").read(Path("a.jpeg"))[20, 20] == pytest.approx(millimetres[20, 20] / 1000)


def test_a_missing_depth_is_reported_and_the_others_go_on(fused: Path, album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (album / "depth/a.png").unlink()
    arguments = ["predict", str(fused), f"{album}/rgb", "--out", f"{album}/out", "--depth", f"{album}/depth"]
    assert main([*arguments, "--depth-unit", "millimetres", "--camera", "nyud"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "rgb/a.png: no a.* of .apng" in said
    assert "the depth of an image has its name, once, in the same tree of folders" in said
    assert "1 of 2 images predicted" in said
    assert (album / "out/kitchen/b.png").exists()


def test_what_a_command_may_lack(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"the model reads rgb only; leave --depth out"):
        depths_for(("rgb",), tmp_path, None, None, 1)
    with pytest.raises(SpecError, match=r"the model reads rgb only; leave --depth-unit and --camera out"):
        depths_for(("rgb",), None, "feet", "", 1)
    assert depths_for(("rgb",), None, None, None, 1) is None
    with pytest.raises(
        SpecError, match=r"the model reads rgb, depth: give --depth DIR, a folder of depth maps with the names of the images$"
    ):
        depths_for(("rgb", "depth"), None, None, None, 1)
    with pytest.raises(SpecError, match=r"give --depth-unit, as files do not say their unit: metres"):
        depths_for(("rgb", "depth"), tmp_path, None, None, 1)
    with pytest.raises(
        SpecError, match=r"the model reads hha: give --camera nyud, or --camera FX,FY,CX,CY,HEIGHT,WIDTH in pixels"
    ):
        depths_for(("hha",), tmp_path, "metres", None, 1)
    with pytest.raises(DataError, match=r"no depth unit 'feet'; there are metres, centimetres, millimetres, or a number"):
        depths_for(("rgb", "depth"), tmp_path, "feet", None, 1)
    found = depths_for(("rgb", "hha"), tmp_path, "0.04", "nyud", 1)
    assert found == Depths(tmp_path, 0.04, NYUD)


@pytest.mark.parametrize(
    "text",
    ["", "kinect", "1,2,3", "1,2,3,4,5", "1,2,3,4,a,5", "0,1,2,3,4,5", "nan,1,2,3,4,5", "1,1,1,1,inf,5", "50,50,3,2,48.5,64"],
)
def test_cameras_that_are_none(text: str) -> None:
    with pytest.raises(DataError, match=rf"no camera '{text}'; give nyud, or FX,FY,CX,CY,HEIGHT,WIDTH|intrinsics must be finite"):
        parse_camera(text)


@pytest.mark.parametrize(
    "text", ["0.8,1.1,0.5,0.5,48,64", "3.6,3.6,31.5,23.5,48,64", "60,9e5,31.5,23.5,48,64", "60,60,1e300,23.5,48,64"]
)
def test_cameras_in_other_units_than_pixels(text: str) -> None:
    with pytest.raises(DataError, match=r"is none for images of 48x64 .*: focal lengths lie between 0.1 and 20 times the longer"):
        parse_camera(text)


def test_inputs_that_do_not_fit() -> None:
    image, depth = np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, 2, np.float32)
    with pytest.raises(DataError, match=r"the model reads rgb, hha: give the depth of the image too"):
        inputs_for(("rgb", "hha"), image)
    with pytest.raises(DataError, match=r"the depth is \(47, 64\) and the image \(48, 64\)"):
        inputs_for(("rgb", "depth"), image, depth[1:])
    with pytest.raises(DataError, match=r"^a depth is an array \(H, W\) in metres; got int$"):
        inputs_for(("rgb", "depth"), image, 3)  # type: ignore[arg-type]  # that is the fault
    with pytest.raises(DataError, match=r"the model reads HHA, which needs the camera's intrinsics"):
        inputs_for(("rgb", "hha"), image, depth)
    with pytest.raises(DataError, match=r"the camera is given for images of 480x640 and this one is 40x64 .*another shape"):
        inputs_for(("hha",), image[:40], depth[:40], NYUD)


def test_a_camera_of_another_size_is_scaled() -> None:
    image, depth = np.zeros((*SIZE, 3), np.uint8), np.random.default_rng(0).uniform(2, 3, SIZE).astype(np.float32)
    small, large = (inputs_for(("hha",), image, depth, camera)["hha"] for camera in (NYUD.scaled(SIZE), NYUD))
    np.testing.assert_array_equal(small, large)


def test_holes_are_zero_however_they_are_written() -> None:
    depth = np.array([[1, 0, np.nan, np.inf]], np.float32)
    found = inputs_for(("depth",), np.zeros((1, 4, 3), np.uint8), depth)["depth"]
    assert found[..., 0].tolist() == [[1, 0, 0, 0]]


def test_a_model_that_reads_colour_needs_no_depth(tmp_path: Path) -> None:
    predictor = load(write_model(tmp_path / "model.safetensors", "rgb"))
    assert isinstance(predictor, Predictor)
    assert predictor.predict(np.zeros((*SIZE, 3), np.uint8)).labels.shape == SIZE
