"""What every backbone promises, over all of them or one of each family."""

import functools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.errors import SpecError
from fullconv.nn.assemble import build_on_meta
from fullconv.nn.backbones import BACKBONES, find_backbone
from fullconv.nn.backbones.narrow import narrow
from fullconv.nn.build import build_model
from fullconv.nn.convolutionalize import convolutionalize
from fullconv.nn.fcn import FCN
from fullconv.nn.proof import prove
from fullconv.spec import ModelSpec

FAMILIES = [
    "minivgg", "alexnet", "vgg11", "googlenet", "resnet18", "squeezenet1_0", "squeezenet1_1", "densenet121",
    "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "regnet_x_400mf", "regnet_y_400mf", "mnasnet0_5",
    "shufflenet_v2_x0_5", "narrow-alexnet", "narrow-vgg16", "narrow-googlenet",
    "efficientnet_lite0",
]  # fmt: skip
DEEPER = {
    *(f"efficientnet_b{n}" for n in range(1, 8)), *(f"efficientnet_lite{n}" for n in range(1, 5)),
    "efficientnet_v2_m", "efficientnet_v2_l", "densenet161", "densenet169", "convnext_small", "convnext_base", "convnext_large",
    *(f"regnet_{kind}_{size}" for kind in "xy" for size in ("800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")), "regnet_y_128gf",
    "resnet101", "resnet152", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet101_2",
    *(f"shufflenet_v2_x{width}" for width in ("1_0", "1_5")), *(f"mnasnet{width}" for width in ("0_75", "1_0")),
}  # fmt: skip
"""Of families that differ only in how many blocks of which width there are, all but the smallest; the deepest net of all,
densenet201, is not among them, and tests/nn/test_assemble.py has the largest."""
NOT_SLID = {
    "mobilenet_v3_small": "sliding is not defined", "efficientnet_b0": "sliding is not defined",
    "regnet_y_400mf": "sliding is not defined",
    "densenet121": "sliding needs 2336 px", "convnext_tiny": "sliding needs",
    "regnet_x_400mf": "sliding needs", "mnasnet0_5": "sliding needs",
    "efficientnet_lite0": "sliding needs", "mobilenet_v2": "sliding needs", "shufflenet_v2_x0_5": "sliding needs",
}  # fmt: skip
SLID = ("alexnet", "googlenet", "resnet18", "squeezenet1_0", "squeezenet1_1")
"""Over ten images of up to 736 px: with a fourth of their channels."""


def randomised(net: torch.nn.Module) -> torch.nn.Module:
    """Batch norm as after training: a proof on fresh statistics would see hardly more than the last bias."""
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.running_var, 0.5, 1.5)
            torch.nn.init.normal_(part.running_mean, std=0.1)
    return net.eval()


@functools.cache
def cached(name: str, stride: int) -> FCN:
    return build_on_meta(ModelSpec(name=f"fcn{stride}s-{name}"), {"semantic": 5}).eval()


# tests/nn/backbones/test_narrow.py has the narrow ones, of which narrow-vgg16 has the layers of vgg11
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "vgg11" and not name.startswith("narrow-")])
def test_convolutionalised_it_is_the_classifier(name: str) -> None:
    torch.manual_seed(0)
    entry = BACKBONES[name]
    net = entry.build()
    classifier = randomised(narrow(net, 1 / 4) if name in SLID else net)
    proof = prove(convolutionalize(classifier, (entry.native_side, entry.native_side)), classifier, side_limit=740)
    assert proof.holds, str(proof)
    assert (proof.slid is None) == (name in NOT_SLID)
    assert NOT_SLID.get(name, "windows") in proof.compared


@pytest.mark.parametrize(
    ("name", "stride"),
    [*((name, 4) for name in BACKBONES if name not in DEEPER), ("squeezenet1_1", 32), ("resnet18", 16)],
)
def test_every_backbone_becomes_an_fcn(name: str, stride: int) -> None:
    model = cached(name, stride)
    assert model.strides[-1] == stride
    geometry = model.geometry
    for size in ((1, 1), (97, 160)):
        assert geometry.sizes(size)[-1] == size


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=3)
@given(st.integers(1, 300), st.integers(1, 300))
def test_output_size_is_input_size(name: str, height: int, width: int) -> None:
    model = cached(name, 4)
    with torch.no_grad():
        assert model(torch.empty(1, 3, height, width, device="meta"))["semantic"].shape == (1, 5, height, width)


@pytest.mark.parametrize(
    ("name", "stride"),
    [*((name, 8) for name in FAMILIES if name != "vgg11"), ("minivgg", 32), ("minivgg", 16), ("minivgg", 4)],
)
def test_a_training_step_lowers_the_loss(name: str, stride: int) -> None:
    torch.manual_seed(0)
    # without fc6 and fc7, which make nine tenths of AlexNet's and VGG's weights and are the same layers as any
    model = build_model(
        ModelSpec(name=f"fcn{stride}s-{name}", deconvolution="learned", hidden_layers=name == "minivgg"),
        {"semantic": 3},
    )
    image = torch.randint(0, 256, (2, 3, 70, 65), dtype=torch.uint8)
    target = (image.float().mean(1) > 128).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    losses = []
    for _ in range(3):
        torch.manual_seed(1)
        loss = F.cross_entropy(model(image)["semantic"], target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(1.0986, abs=1e-3)  # zero scores: every class is as likely
    assert losses[-1] < losses[0]
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


@pytest.mark.parametrize("name", ["minivgg", "squeezenet1_1", "resnet18"])
def test_one_pixel_and_odd_sizes_run(name: str) -> None:
    model = build_model(ModelSpec(name=f"fcn8s-{name}"), {"semantic": 3}).eval()
    with torch.no_grad():
        for size in ((1, 1), (1, 75), (33, 17)):
            assert model(torch.zeros(1, 3, *size))["semantic"].shape == (1, 3, *size)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"no backbone is called 'resnet51'; nearest: resnet50"):
        find_backbone("resnet51")
