"""A trunk taken apart gives what it gives whole."""

import pytest
import torch

from fullconv.nn.build import build_model
from fullconv.nn.stages import InSlices, stages_of
from fullconv.spec import ModelSpec

NETS = [
    ModelSpec(name="fcn8s-minivgg"),
    ModelSpec(name="fcn8s-narrow-vgg16", padding="paper"),
    ModelSpec(name="fcn4s-squeezenet1_1"),
    ModelSpec(name="fcn8s-resnet18"),
]


@pytest.mark.parametrize("spec", NETS, ids=lambda spec: spec.name)
def test_stages_behind_each_other_are_the_trunk(spec: ModelSpec) -> None:
    torch.manual_seed(0)
    trunk = build_model(spec, 2).eval().trunks["rgb"]
    stages = stages_of(trunk)
    images = torch.randn(1, 3, 96, 128)
    around = stages[0].around
    maps = torch.nn.functional.pad(images, (around, around, around, around))
    with torch.inference_mode():
        whole = trunk(images)
        for stage in stages:
            sizes = [stage.geometry.sizes((maps.shape[2], maps.shape[3]))[-1]]
            maps = stage.net(maps.clone())
            assert sizes == [tuple(maps.shape[2:])]
            if stage.level is not None:
                torch.testing.assert_close(maps, whole[stage.level], rtol=0, atol=1e-5 * whole[stage.level].abs().max().item())
    assert sorted(stage.level for stage in stages if stage.level is not None) == list(range(len(whole)))
    assert all(stage.geometry.reach() is not None and stage.geometry.reach() < 30 for stage in stages)  # type: ignore[operator]  # no None


def test_the_reference_s_padding_is_given_to_the_image_once() -> None:
    first, *others = stages_of(build_model(ModelSpec(name="fcn32s-minivgg", padding="paper"), 2).trunks["rgb"])
    assert first.around == 100
    assert {stage.around for stage in others} == {0}


def test_a_large_layer_is_computed_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fullconv.nn.stages.SLICE", 2_000)
    layer = torch.nn.Conv2d(10, 50, 3, padding=1, stride=2)
    maps = torch.randn(2, 10, 9, 12)
    sliced = InSlices(layer)
    assert sliced.channels == 22
    torch.testing.assert_close(sliced(maps), layer(maps), rtol=0, atol=1e-5)
