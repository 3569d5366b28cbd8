"""timm's classifiers by name: the same numbers as timm's, a place for every map, clear words where it cannot be."""

import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.pool2d_same import AvgPool2dSame, MaxPool2dSame
from torch import nn

from fullconv.errors import GeometryError, SpecError, WeightsError
from fullconv.geometry.trace import trace
from fullconv.nn.assemble import build_on_meta
from fullconv.nn.backbones import find_backbone
from fullconv.nn.backbones.fixed_padding import SameConv2d, same_padding
from fullconv.nn.backbones.timm_models import fixed
from fullconv.nn.build import build_model, load_backbone_weights
from fullconv.nn.describe import describe
from fullconv.nn.weights import find_weights
from fullconv.spec import ModelSpec

FAMILIES = ["resnet18", "tf_efficientnet_b0", "regnetx_002", "convnext_atto"]


@pytest.mark.parametrize("name", FAMILIES)
def test_an_fcn_of_it_takes_every_size(name: str) -> None:
    model = build_on_meta(ModelSpec(name=f"fcn8s-timm/{name}"), {"semantic": 2}).eval()
    with torch.no_grad():
        for side in (1, 2, 3, 31, 33, 300):
            assert model(torch.empty(1, 3, side, side + 1, device="meta"))["semantic"].shape == (1, 2, side, side + 1)


def test_preprocessing_and_side_are_what_timm_states() -> None:
    """Of nets that were trained with other colours than ImageNet's mean and at other sides than 224."""
    half = find_backbone("timm/tf_efficientnetv2_b0.in1k")
    stated = timm.get_pretrained_cfg("tf_efficientnetv2_b0.in1k")
    assert (
        (half.native_side, half.preprocessing["mean"])
        == (stated.input_size[1], list(stated.mean))
        == (192, [0.485, 0.456, 0.406])
    )
    lite = find_backbone("timm/tf_efficientnet_lite0")
    assert (lite.preprocessing["range"], lite.preprocessing["mean"], lite.preprocessing["std"]) == ([0, 1], [0.5] * 3, [0.5] * 3)
    assert find_backbone("timm/inception_v3").native_side == 299


def test_weights_by_name_from_the_folder_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "timm").mkdir()
    torch.manual_seed(0)
    theirs = timm.create_model("tf_efficientnet_lite0")
    save_file(theirs.state_dict(), tmp_path / "timm" / "tf_efficientnet_lite0.safetensors")
    monkeypatch.setenv("FULLCONV_WEIGHTS", str(tmp_path))
    model = build_model(ModelSpec(name="fcn32s-timm/tf_efficientnet_lite0", weights="imagenet"), {"semantic": 2})
    report = load_backbone_weights(model)
    assert (report.missing, sorted(report.dropped)) == ([], ["classifier.bias", "classifier.weight"])


def test_without_network_the_advice_is_to_bring_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("FULLCONV_WEIGHTS", raising=False)
    with pytest.raises(
        WeightsError,
        match=r"timm resnet18 could not be had \(.*put timm/resnet18\.safetensors in the folder.*or allow the download by timm",
    ):
        find_weights("timm/resnet18")


def test_fixed_padding_is_timms_at_sizes_that_the_strides_divide() -> None:
    torch.manual_seed(0)

    def net() -> nn.Module:
        return nn.Sequential(
            Conv2dSame(3, 4, 3, 2), MaxPool2dSame(3, 2), Conv2dSame(4, 4, 5, 2, groups=4, bias=False), AvgPool2dSame(2, 2),
            Conv2dSame(4, 2, 3, 1, dilation=2),
        )  # fmt: skip

    theirs, ours = net(), net()
    ours.load_state_dict(theirs.state_dict())
    names = list(ours.state_dict())
    fixed(ours)
    assert list(ours.state_dict()) == names
    assert not any(isinstance(part, (Conv2dSame, MaxPool2dSame, AvgPool2dSame)) for part in ours.modules())
    for height, width in ((32, 48), (160, 16)):
        image = torch.randn(1, 3, height, width)
        torch.testing.assert_close(ours(image), theirs(image), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(1, 2, 1), (2, 2, 1), (3, 1, 1), (3, 2, 1), (5, 2, 1), (5, 3, 1), (3, 2, 2)]
)
def test_padding_is_tensorflows_rule(kernel: int, stride: int, dilation: int) -> None:
    """As TensorFlow's guide states it: the total that ceil(side / stride) outputs need, the smaller half before."""
    for side in range(stride * 8, stride * 20, stride):
        outputs = -(-side // stride)
        total = max((outputs - 1) * stride + dilation * (kernel - 1) + 1 - side, 0)
        assert same_padding(kernel, stride, dilation) == (total // 2, total - total // 2)


def test_the_geometry_of_a_padded_convolution_is_what_it_does() -> None:
    layer = SameConv2d(1, 1, (3, 5), 2, padding=(1, 0))
    geometry = trace(layer)
    for size in ((7, 9), (20, 30)):
        assert tuple(layer(torch.zeros(1, 1, *size)).shape[2:]) == geometry.sizes(size)[-1]
    nn.init.ones_(layer.weight)
    image = torch.zeros(1, 1, 20, 20, requires_grad=True)
    layer(image)[0, 0, 4, 4].backward()
    rows, columns = (image.grad[0, 0].sum(axis).nonzero().flatten().tolist() for axis in (1, 0))
    assert geometry.depends_on(-1, (4, 4), 0) == (rows[0], rows[-1])
    assert geometry.depends_on(-1, (4, 4), 1) == (columns[0], columns[-1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/resnet81", r"has no classifier 'resnet81'; nearest: timm/resnet"),
        ("timm/resnet18.best", r"has no weights called so for 'resnet18\.best'"),
        ("timm/hf-hub:someone/anything", "has no classifier"),
    ],
)
def test_names_that_timm_does_not_know(name: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        find_backbone(name)


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        SpecError, match=r"timm/resnet18 is a net of timm, which is not installed: pip install 'fullconv\[timm\]'"
    ):
        find_backbone("timm/resnet18")


def test_branches_that_do_not_lie_on_each_other_make_no_trunk_and_yet_a_dense_classifier() -> None:
    """ResNet-D's short cut averages 2x2 pixels and so looks half a pixel off the convolutions beside it."""
    found = describe("timm/resnet18d")
    assert found["misaligned"].startswith("add_2 merges layer2.0.bn2 at 8·i+0 with layer2.0.downsample.2 at 8·i+2")
    assert (found["stride"], found["receptive_field"]) == (None, None)
    deep = describe("timm/dla34", (224, 224))  # here sizes, too, differ between branches but at multiples of 32
    assert (deep["min_size"], deep["size"]) == (None, [224, 224])
    with pytest.raises(GeometryError, match="their pixels do not lie on each other"):
        build_on_meta(ModelSpec(name="fcn8s-timm/resnet18d"), {"semantic": 2})
