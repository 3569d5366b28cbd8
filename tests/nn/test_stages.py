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
    maps = images
    with torch.inference_mode():
        whole = trunk(images)
        for stage in stages:
            maps = torch.nn.functional.pad(maps, (stage.around,) * 4)
            sizes = [stage.geometry.sizes((maps.shape[2], maps.shape[3]))[-1]]
            maps = stage.net(maps.clone())
            assert sizes == [tuple(maps.shape[2:])]
            if stage.level is not None:
                torch.testing.assert_close(maps, whole[stage.level], rtol=0, atol=1e-5 * whole[stage.level].abs().max().item())
    assert sorted(stage.level for stage in stages if stage.level is not None) == list(range(len(whole)))
    assert all(stage.geometry.reach() is not None and stage.geometry.reach() < 30 for stage in stages)  # type: ignore[operator]  # no None


def test_what_is_padded_lies_around_a_stage_s_input_where_one_convolution_reads_it() -> None:
    first, *others = stages_of(build_model(ModelSpec(name="fcn8s-narrow-vgg16", padding="paper"), 2).trunks["rgb"])
    assert (first.around, first.edge) == (100, 2)
    assert [(stage.around, stage.edge) for stage in others] == [(1, 2)] * 12 + [(0, 6)]
    # a fire module's two convolutions read one map: padded they stay
    assert {stage.around for stage in stages_of(build_model("fcn8s-squeezenet1_1", 2).trunks["rgb"])[1:]} == {0}


def test_stages_end_at_the_smallest_maps() -> None:
    trunk = build_model("fcn8s-squeezenet1_1", 2).trunks["rgb"]
    ends = [stage.name for stage in stages_of(trunk)]
    squeezed = [f"features.{i}.squeeze_activation" for i in (3, 4, 6, 7, 9, 10, 11, 12)]
    assert ends == [*squeezed[:4], "cat_3", *squeezed[4:], "classifier.0", "pool_to_32"]


def test_a_large_layer_is_computed_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fullconv.nn.stages.SLICE", 2_000)
    layer = torch.nn.Conv2d(10, 50, 3, padding=1, stride=2)
    maps = torch.randn(2, 10, 9, 12)
    sliced = InSlices(layer)
    assert (sliced.channels, sliced.numbers) == (25, 2250)
    torch.testing.assert_close(sliced(maps), layer(maps), rtol=0, atol=1e-5)


def test_a_large_layer_that_reads_no_neighbours_is_a_product_without_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fullconv.nn.stages.SLICE", 2_000)
    layer = torch.nn.Conv2d(60, 50, 1)
    maps = torch.randn(2, 60, 9, 12)
    assert (InSlices(layer).numbers, InSlices(layer).copied) == (0, 0)
    torch.testing.assert_close(InSlices(layer)(maps), layer(maps), rtol=0, atol=1e-5)
    strided = torch.nn.Conv2d(60, 50, 1, stride=2)
    assert InSlices(strided).numbers > 0
    torch.testing.assert_close(InSlices(strided)(maps), strided(maps), rtol=0, atol=1e-5)
