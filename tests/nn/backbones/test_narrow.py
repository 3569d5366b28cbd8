"""Nets with fewer channels: widths, groups and classes are right, geometry is that of the whole net, and they train."""

import pytest
import torch
from torch import nn
from torchvision import models

from fullconv.errors import SpecError
from fullconv.nn.backbones import BACKBONES, caffe
from fullconv.nn.backbones.narrow import NARROW, batch_normalised, narrow
from fullconv.nn.convolutionalize import convolutionalize
from fullconv.nn.describe import describe

OURS = ("alexnet", "vgg16", "googlenet")


def torchvision(name: str) -> nn.Module:
    extra = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        return models.get_model(name, weights=None, **extra)  # type: ignore[no-any-return]  # torchvision has no types


def widths(net: nn.Module) -> list[int]:
    return [part.out_channels for part in net.modules() if isinstance(part, nn.Conv2d)]


@pytest.mark.parametrize(
    "name", ["alexnet", "vgg16_bn", "googlenet", "resnet18", "resnext50_32x4d", "mobilenet_v2", "squeezenet1_1", "densenet121"]
)
def test_any_net_of_convolutions_becomes_narrow(name: str) -> None:
    whole = torchvision(name)
    net = narrow(whole, 0.25, 96).eval()
    assert type(net) is type(whole)
    with torch.no_grad():
        logits = net(torch.zeros(2, 3, 96, 96))
    assert logits.shape == (2, 1000)
    layers = [part for part in net.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    assert layers[0].in_channels == 3
    counts = [sum(p.numel() for p in each.parameters()) for each in (net, whole)]
    assert counts[0] < counts[1] / 3


def test_every_width_is_scaled_but_image_and_classes() -> None:
    net = narrow(caffe_on_meta("vgg16"), 1 / 8)
    assert widths(net) == [8, 8, 16, 16, 32, 32, 32, 64, 64, 64, 64, 64, 64]
    dense = [(part.in_features, part.out_features) for part in net.modules() if isinstance(part, nn.Linear)]
    assert dense == [(64 * 7 * 7, 512), (512, 512), (512, 1000)]


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.0, [96, 256, 384, 384, 256]), (1 / 8, [12, 32, 48, 48, 32]), (1e-6, [2] * 5)]
)
def test_groups_stay_and_divide_the_widths(factor: float, expected: list[int]) -> None:
    """AlexNet's convolutions in two groups: even widths down to 2."""
    net = narrow(caffe_on_meta("alexnet"), factor, 227)
    assert widths(net) == expected
    assert [part.groups for part in net.modules() if isinstance(part, nn.Conv2d)] == [1, 2, 1, 2, 2]


def test_without_groups_one_channel_is_left() -> None:
    net = narrow(caffe_on_meta("googlenet"), 1e-6).eval()
    assert set(widths(net)) == {1}
    assert net(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)


def test_depth_wise_convolutions_stay_depth_wise() -> None:
    net = narrow(torchvision("mobilenet_v2"), 0.5)
    grouped = [part for part in net.modules() if isinstance(part, nn.Conv2d) and part.groups > 1]
    assert len(grouped) == 17
    assert all(part.groups == part.in_channels == part.out_channels for part in grouped)


def test_the_given_net_stays_as_it_is_and_the_new_one_has_finite_weights() -> None:
    whole = BACKBONES["minivgg"].build()
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    net = narrow(whole, 0.5, 96)
    assert all(torch.equal(tensor, before[name]) for name, tensor in whole.state_dict().items())
    assert all(torch.isfinite(tensor).all() for tensor in net.state_dict().values())
    assert net.training


def test_what_cannot_be_narrowed_is_named() -> None:
    with pytest.raises(SpecError, match=r"cannot narrow 1 \(PReLU\): only Conv2d, BatchNorm2d, Linear"):
        narrow(nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU()), 0.5)
    with pytest.raises(SpecError, match="greater than 0"):
        narrow(nn.Conv2d(3, 4, 3), 0)


def test_batch_norm_replaces_biases_and_local_normalisation() -> None:
    net = batch_normalised(caffe_on_meta("googlenet"))
    convolutions = [part for part in net.modules() if isinstance(part, nn.Conv2d)]
    norms = [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]
    assert [part.out_channels for part in convolutions] == [part.num_features for part in norms]
    assert all(part.bias is None for part in convolutions)
    assert not any(isinstance(part, nn.LocalResponseNorm) for part in net.modules())


@pytest.mark.parametrize("name", OURS)
def test_narrow_backbones_have_the_papers_geometry(name: str) -> None:
    small, whole = describe(f"fcn32s-narrow-{name}"), describe(f"fcn32s-caffe-{name}")
    assert (small["receptive_field"], small["stride"]) == (whole["receptive_field"], whole["stride"])
    ratio = small["parameters"] / whole["parameters"]
    assert NARROW**2 * 0.9 < ratio < NARROW**2 * 1.15


@pytest.mark.parametrize("name", OURS)
def test_made_convolutional_it_is_the_classifier(name: str) -> None:
    torch.manual_seed(0)
    entry = BACKBONES[f"narrow-{name}"]
    classifier = entry.build()
    for part in classifier.modules():
        if isinstance(part, nn.BatchNorm2d):  # as after training: fresh statistics would prove little
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.normal_(part.running_mean, std=0.1)
    classifier.eval()
    proof = convolutionalize(classifier, (entry.native_side, entry.native_side)).prove(classifier, side_limit=1100)
    assert proof.holds, str(proof)
    assert proof.slid is not None


def caffe_on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return getattr(caffe, name)()  # type: ignore[no-any-return]  # one of three functions
