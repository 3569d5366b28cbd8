"""The numbers of the paper and its reference implementation come out of the geometry; none stands in the source."""

import pytest

from fullconv.nn.describe import describe


@pytest.mark.parametrize(
    ("name", "kernels", "crops", "field", "reach", "millions"),
    [
        ("fcn32s-caffe-vgg16", [64], [19], 404, 233, 134),
        ("fcn16s-caffe-vgg16", [4, 32], [5, 27], 404, 241, 134),
        ("fcn8s-caffe-vgg16", [4, 4, 16], [5, 9, 31], 404, 245, 134),
        ("fcn32s-caffe-alexnet", [63], [18], 355, 208, 57),
        ("fcn32s-caffe-googlenet", [63], [98], 715, 388, 6),
    ],
)
def test_table_1_and_the_reference_crops(
    name: str, kernels: list[int], crops: list[int], field: int, reach: int, millions: int
) -> None:
    found = describe(name)
    assert (found["kernels"], found["crops"], found["receptive_field"], found["reach"]) == (
        kernels,
        crops,
        field,
        reach,
    )
    assert found["stride"] == 32
    assert found["parameters"] // 1_000_000 in (millions, millions - 1)
    assert round(found["parameters"] / 1e6) == millions
    assert found["min_size"] == 1
    assert found["global_layers"] == []


def test_googlenet_with_its_own_pooling_has_the_field_of_table_1() -> None:
    found = describe("caffe-googlenet")
    assert (found["receptive_field"], found["stride"]) == (907, 32)


@pytest.mark.parametrize(("skip", "field"), [(1, 100), (2, 44)])
def test_skips_see_what_the_paper_says(skip: int, field: int) -> None:
    layers = {layer["name"]: layer for layer in describe("fcn8s-caffe-vgg16")["layers"]}
    assert layers[f"core.heads.semantic.score.rgb.{skip}"]["receptive_field"] == field


def test_sizes_of_vgg16_at_500() -> None:
    sizes = {layer["name"]: layer["size"][0] for layer in describe("fcn8s-caffe-vgg16", (500, 500))["layers"]}
    names = ["conv1_1", "pool1", "pool2", "pool3", "pool4", "pool5", "fc6", "core.heads.semantic.upsample.2", "crop"]
    assert [sizes[name] for name in names] == [698, 349, 175, 88, 44, 22, 16, 568, 500]
    for model, side, last in (("fcn32s-caffe-vgg16", 544, 0), ("fcn16s-caffe-vgg16", 560, 1)):
        sizes = {layer["name"]: layer["size"][0] for layer in describe(model)["layers"]}
        assert sizes[f"core.heads.semantic.upsample.{last}"] == side


def test_ten_by_ten_grid_of_alexnet() -> None:
    """Section 4.1 counts a 10x10 grid of outputs for a 500x500 image: the classifier itself, without the padding of 100."""
    assert describe("caffe-alexnet", (500, 500))["layers"][-1]["size"] == [10, 10]


def test_pad_1_needs_193_pixels() -> None:
    assert describe("caffe-vgg16")["min_size"] == 193
