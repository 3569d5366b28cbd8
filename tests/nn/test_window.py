"""Nets run in their windows of influence, against the nets as they are."""

import functools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from fullconv.geometry.trace import Tracer, from_graph
from fullconv.nn import window
from fullconv.nn.backbones.caffe import CLASSIFIERS
from fullconv.nn.backbones.narrow import narrow
from fullconv.nn.frame import Box, box_of
from fullconv.nn.trunk import Trunk, build_trunk
from fullconv.nn.window import Windowed


def with_biases(net: nn.Module) -> nn.Module:
    """Return a net in evaluation mode with random biases, so that it makes something of an image of zeros."""
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.3)
    return net.eval()


@functools.cache
def trunk_of(name: str) -> Trunk:
    """Return a net of the paper, padded by 100 px, with few channels."""
    torch.manual_seed(0)
    entry = CLASSIFIERS[name]
    with torch.device("meta"):
        whole = entry.build()
    trunk = build_trunk(replace(entry, build=lambda: narrow(whole, 1 / 32, entry.native_side)), 8)
    with_biases(trunk)
    return trunk


def assert_alike(found: list[Tensor], truth: list[Tensor], what: object) -> None:
    for maps, plain in zip(found, truth, strict=True):
        assert maps.shape == plain.shape, what
        assert float((maps - plain).abs().max()) <= 1e-6 * float(plain.abs().max()), what


@pytest.mark.parametrize("name", ["caffe-alexnet", "caffe-vgg16", "caffe-googlenet"])
def test_later_images_of_a_size_give_the_maps_of_the_whole_net(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = trunk_of(name)
    monkeypatch.setattr(window, "LEAST", 0.01)  # also where little is saved
    net = Windowed(trunk.graph, trunk.geometry)

    @settings(max_examples=5, deadline=None)
    @given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([0, 1]))
    def check(height: int, width: int, more: int) -> None:
        inside = box_of((height, width))
        plan = net.plan((height, width), inside)
        assert plan.saved > 0.01
        net(100 * torch.randn(1 + more, 3, height, width), inside)  # what is kept of it holds nothing of the image
        for images in (torch.randn(2, 3, height, width), torch.zeros(1, 3, height, width)):
            assert_alike(net(images, inside), trunk(images), (height, width))

    with torch.inference_mode():
        check()


def test_what_a_window_saves_of_the_published_net() -> None:
    """FCN-8s of VGG16 at 375×500: 95.5 of 146.8 billion multiplications with the layers behind the trunk."""
    trunk = trunk_of("caffe-vgg16")
    saved = [
        Windowed(trunk.graph, trunk.geometry).plan(size, box_of(size)).saved for size in ((100, 100), (375, 500), (1500, 2000))
    ]
    assert saved == sorted(saved, reverse=True)  # the larger the image, the less of a map is padding
    assert saved[1] == pytest.approx(0.36, abs=0.01)


class Mixed(nn.Module):
    """Strides, dilation, padding on one side, a cut pooling, two ways that join, and a part that sees the whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 5, stride=2, padding=30)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
        self.wide = nn.Conv2d(4, 4, 3, padding=4, dilation=4)
        self.near = nn.Conv2d(4, 4, 1)
        self.all = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Conv2d(8, 5, (3, 2), padding=(1, 0))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return one map that the image changes in part, and one that it changes all over."""
        maps = self.pool(self.act(self.norm(self.first(images))))
        both = torch.cat([torch.relu(self.wide(maps)) + maps, self.near(maps)], 1)
        return self.last(both), both * self.all(both)


def test_branches_and_what_sees_the_whole_image(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    model = with_biases(Mixed())
    graph = fx.GraphModule(model, Tracer().trace(model))
    net = Windowed(graph, from_graph(graph.graph, graph))
    monkeypatch.setattr(window, "LEAST", 0.01)
    with torch.inference_mode():
        # an image that lies somewhere among zeros, as where a net needs its images padded
        for size, inside in (
            ((64, 80), Box((0, 63), (0, 79))),
            ((61, 75), Box((20, 40), (3, 50))),
            ((50, 40), Box((49, 49), (0, 0))),
        ):
            part = (..., *inside.inside(box_of(size)))
            for _ in range(3):
                images = torch.zeros(2, 3, *size)
                images[part] = torch.randn(2, 3, *inside.size)
                assert_alike(list(net(images, inside)), list(model(images)), (size, inside))
            plan = net.plan(size, inside)
            assert plan.saved > 0.1
            assert {str(node) for node in net.local} >= {"first", "norm", "act", "pool", "wide", "near", "cat", "last"}


def test_nets_that_cannot_be_run_in_parts_are_run_as_they_are() -> None:
    """One that asks for a map's size, and one that overwrites a map which others read."""

    class Asks(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images + images.shape[-1]

    class Overwrites(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act = nn.Conv2d(3, 4, 3, padding=30), nn.ReLU(inplace=True)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.conv(images)
            return self.act(maps) + maps

    for model in (Asks(), Overwrites()):
        graph = fx.GraphModule(model, Tracer().trace(model))
        net = Windowed(graph, from_graph(graph.graph, graph))
        assert not net.plannable
        images = torch.randn(1, 3, 20, 20)
        with torch.inference_mode():
            for _ in range(2):
                assert torch.equal(net(images, box_of((20, 20))), model(images))  # type: ignore[arg-type]  # one map
