"""Test-time augmentation: the mean of the views' probabilities, laid back on the image's own pixels."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

import fullconv
from fullconv.cli import main
from fullconv.crf.mean_field import CRFSpec, refine
from fullconv.data.depth.hha import hha
from fullconv.data.depth.intrinsics import Intrinsics
from fullconv.data.joint_transform import JointTransform
from fullconv.data.sample import Sample
from fullconv.data.scenes.scenes import Scenes
from fullconv.errors import SpecError, WeightsError
from fullconv.inference.predictor import Predictor
from fullconv.inference.tta import TTA
from fullconv.labels import LabelSet
from fullconv.metrics import ConfusionMatrix
from fullconv.nn.build import build_model
from fullconv.spec import ModelSpec

SIZE = 45, 62
TWO = {"semantic": LabelSet(("a", "b", "c")), "geometric": LabelSet(("flat", "upright"))}


@pytest.fixture(scope="module")
def rooms() -> Predictor:
    """A net of three streams and two heads, with random weights, trained at half the images' size, as far as it knows."""
    torch.manual_seed(0)
    heads = {head: len(classes) for head, classes in TWO.items()}
    model = build_model(ModelSpec(name="fcn8s-minivgg", streams=("rgb+depth", "hha"), hidden_layers=False), heads)
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    return Predictor(model, TWO, scale=0.5)


def room(mirrored: bool = False) -> Sample:
    """An image of a room with its depth and HHA; or its mirror image, the HHA of which is computed from its mirrored depth."""
    found = Scenes("val", count=1, size=SIZE, streams=("rgb", "depth"))[0]
    inputs = {name: values.numpy() for name, values in found.inputs.items()}
    inputs = {name: values[..., ::-1].copy() if mirrored else values for name, values in inputs.items()}
    middle = 33.5
    camera = Intrinsics(60, 60, SIZE[1] - 1 - middle if mirrored else middle, 21, SIZE)
    inputs["hha"] = hha(inputs["depth"][0], camera, gravity=(-0.28 if mirrored else 0.28, 0.96, 0.0)).transpose(2, 0, 1)
    return Sample("room", {name: torch.from_numpy(values) for name, values in inputs.items()}, {})


def test_the_hha_of_a_mirrored_room_is_the_mirrored_hha() -> None:
    """Seen by a camera whose principal point is off the middle and that is rolled, and so to both sides alike."""
    straight, mirrored = (room(side).inputs["hha"].numpy().astype(int) for side in (False, True))
    assert len(np.unique(straight[2])) > 20  # angles of many kinds
    assert abs(mirrored[..., ::-1] - straight).max() <= 1  # the order of sums
    assert (mirrored[..., ::-1] == straight).mean() > 0.999
    assert (mirrored != straight).mean() > 0.2


def test_probabilities_are_the_mean_over_views_of_every_stream_and_head(rooms: Predictor) -> None:
    """Against each view made by the transform of training, mirrored by numpy, and put through the bare net by hand."""
    sample = room()
    expected = {head: np.zeros((len(classes), *SIZE)) for head, classes in TWO.items()}
    for factor in (0.5, 0.35, 0.8):
        for mirrored in (False, True):
            seen = JointTransform.scaled(room(mirrored), factor)
            with torch.no_grad():
                found = rooms.model({name: values.as_subclass(Tensor)[None] for name, values in seen.inputs.items()})
            for head, logits in found.items():
                own = functional.interpolate(logits, SIZE, mode="bilinear", align_corners=False)[0].softmax(0).numpy()
                expected[head] += (own[..., ::-1] if mirrored else own) / 6
    found = rooms.augmented(TTA.parse("flip,scales=0.7:1.6")).logits(sample.inputs)
    plain = rooms.logits(sample.inputs)
    for head in TWO:
        np.testing.assert_allclose(found[head][0].softmax(0).numpy(), expected[head], atol=1e-3)  # HHA may differ by one level
        assert abs(plain[head][0].softmax(0).numpy() - expected[head]).max() > 0.02


def test_a_mirror_image_gives_the_mirror_image(rooms: Predictor) -> None:
    flipped = rooms.augmented(TTA(flip=True))
    sample = room()
    other = {name: values.flip(-1) for name, values in sample.inputs.items()}
    for head, logits in flipped.logits(sample.inputs).items():
        torch.testing.assert_close(flipped.logits(other)[head].flip(-1), logits, atol=1e-4, rtol=0)
        assert (rooms.logits(other)[head].flip(-1) - logits).abs().max() > 0.05


class Brightness:
    """An engine of one's own: the logit of a bright pixel is its red level by itself."""

    inputs, heads, device = ("rgb",), {"semantic": 2}, torch.device("cpu")

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        red = batch["rgb"][:, :1].float()
        return {"semantic": torch.cat([torch.zeros_like(red), red / 64 - 2], 1)}


@pytest.mark.parametrize("side", [60, 61])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_views_lie_over_each_other_to_less_than_a_fifth_of_a_pixel(side: int, scale: float) -> None:
    """A ramp of 4 levels a pixel is a ramp in every view; laid back half a pixel beside itself it would be 2 levels off."""
    ramp = np.broadcast_to((4 * np.arange(side)).astype(np.uint8)[:, None], (side, side, 3)).copy().swapaxes(0, 1)
    predictor = Predictor(Brightness(), {"semantic": LabelSet(("dark", "bright"))}, scale, tta=TTA(True, (0.5, 1.5, 2)))
    found = predictor.predict(ramp, probabilities=True).probabilities
    assert found is not None
    expected = 1 / (1 + np.exp(2 - ramp[..., 0] / 64))
    level = 1 / 64 / 4  # at most, of the probability
    assert abs(found[1] - expected)[8:-8, 8:-8].max() < 0.8 * level


def test_what_no_view_finds_possible_is_a_number() -> None:
    class Certain(Brightness):
        def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {"semantic": 1e4 * super().__call__(batch)["semantic"]}

    class Broken(Brightness):
        def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {"semantic": torch.where(batch["rgb"][:, :2] > 250, torch.nan, 0.0)}

    image = np.zeros((4, 5, 3), np.uint8)
    labels = {"semantic": LabelSet(("dark", "bright"))}
    found = Predictor(Certain(), labels, tta=TTA(flip=True)).predict(image, probabilities=True)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, np.stack([np.ones((4, 5)), np.zeros((4, 5))]), atol=1e-30)
    image[2, 3] = 255
    with pytest.raises(WeightsError, match="the model gives logits that are not finite"):
        Predictor(Broken(), labels, tta=TTA(flip=True)).predict(image)


def test_a_crf_and_a_threshold_take_the_averaged_probabilities(checkpoint: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)
    predictor = fullconv.load(checkpoint, "cpu", tta="flip,scales=0.5")
    plain = predictor.predict(image, probabilities=True).probabilities
    assert plain is not None
    crf = CRFSpec(appearance_position=5)
    found = predictor.predict(image, probabilities=True, crf=crf).probabilities
    np.testing.assert_allclose(found, refine(plain, image, crf), atol=1e-4)
    labels = {"semantic": LabelSet(("dark", "bright"))}
    bright = Predictor(Brightness(), labels, tta=TTA(flip=True, scales=(2,)))
    one = bright.predict(image, probabilities=True).probabilities
    assert one is not None
    bright.threshold = 0.3
    np.testing.assert_array_equal(bright.predict(image).labels, one[1] >= np.float32(0.3))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "has ''"),
        ("flip,", "has ''"),
        ("mirror", "has 'mirror'"),
        ("flip,flip", "has 'flip' twice"),
        ("scales", "has 'scales'"),
        ("scales=0.5,scales=2", "has 'scales=2' twice"),
        ("scales=", "has the scale ''"),
        ("scales=0.5:big", "has the scale 'big'"),
        ("scales=0", "has the scale 0"),
        ("scales=0.5:nan", "has the scale nan"),
        ("flip,scales=1000", "has the scale 1000"),
        ("scales=1", "shows the image as it is and nothing else"),
    ],
)
def test_texts_that_are_none(text: str, fault: str) -> None:
    accepted = (
        r"accepted are flip .* and scales=A:B:…, factors on height and width from 0\.1 to 10, such as flip,scales=0\.75:1\.25"
    )
    with pytest.raises(SpecError, match=rf"^the test-time augmentation .*{fault}.*; {accepted}$"):
        TTA.parse(text)


def test_a_scale_given_twice() -> None:
    with pytest.raises(SpecError, match=r"has a scale twice in 0\.5:2:0\.5; give each once"):
        TTA.parse("scales=0.5:2:0.5")


def test_texts_that_mean_the_same_are_written_alike() -> None:
    assert {str(TTA.parse(text)) for text in ("flip,scales=0.75:1.25", "scales=1.25:1:0.75, flip")} == {"flip,scales=0.75:1.25"}
    assert str(TTA.parse("flip,scales=1")) == "flip"


# --- from the outside ---


def test_predict_writes_what_evaluate_measures(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes, predictor = Scenes("val", count=2, size=(32, 40)), fullconv.load(checkpoint, "cpu", tta="flip,scales=0.75")
    recipe = tmp_path / "small.yaml"
    recipe.write_text(
        "model: {name: fcn8s-minivgg}\ndata: {name: scenes, size: [32, 40], val_count: 2}\ntrain: {stages: [8], steps: 1}\n"
    )
    matrix = ConfusionMatrix(len(predictor.labels["semantic"]))
    for index in range(2):
        Image.fromarray(scenes[index].picture).save(tmp_path / f"{index}.png")
    command = ["predict", str(checkpoint), f"{tmp_path}/0.png", f"{tmp_path}/1.png", "--out", f"{tmp_path}/out"]
    assert main([*command, "--tta", "scales=0.75,flip"]) == 0
    for index in range(2):
        written = np.array(Image.open(tmp_path / "out" / f"{index}.png"))
        np.testing.assert_array_equal(written, predictor.predict(scenes[index].picture).labels)
        matrix.update(scenes[index].targets["semantic"].numpy(), written)
    capsys.readouterr()
    assert main([*command, "--overlay"]) == 1
    assert "was predicted by head semantic, TTA flip,scales=0.75, and now by head semantic;" in capsys.readouterr().err
    measure = ["evaluate", str(checkpoint), "--data", str(recipe), "--tta", "flip,scales=0.75"]
    assert main([*measure, "--refine", "crf", "--out", f"{tmp_path}/report", "--json"]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    name = "the model + TTA flip,scales=0.75"
    assert list(models) == [str(checkpoint), name, f"{name} + CRF"]
    assert models[name]["confusion"] == matrix.matrix.tolist()
    assert models[name]["differences"]["mean_iu"]["value"] != 0
    assert name in (tmp_path / "report" / "report.html").read_text()
    for verb in (command, measure[:-2]):
        assert main([*verb, "--tta", "flop"]) == 1
        assert capsys.readouterr().err.startswith("error: the test-time augmentation 'flop' has 'flop'; accepted are flip ")
