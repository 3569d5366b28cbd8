"""Padding and alignment from places alone: every pixel is covered, and sizes inside the net grow by whole entries."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullconv.errors import GeometryError
from fullconv.geometry.axis import Place, Window
from fullconv.nn.align import Padding, align
from fullconv.nn.assemble import build_on_meta
from fullconv.spec import ModelSpec

POOL = Window(2, 2, 1, 0, 0, True)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 1)), min_size=2, max_size=5), st.integers(1, 700))
def test_every_pixel_lies_in_the_cell_of_an_output(layers: list[tuple[int, int]], side: int) -> None:
    """Random trunks of convolutions (kernel 2k-1, half its padding or none) and poolings by two."""
    maps = [part for half, whole in layers for part in (Window(2 * half - 1, 1, 1, whole * (half - 1), whole * (half - 1)), POOL)]
    place = Place(Fraction(1), Fraction(0))
    for part in maps:
        place = part.compose(place)

    def sizes(image: int) -> list[int]:
        for part in maps:
            image = part.size(image)
            if image < 1:
                raise GeometryError("too small")
        return [image]

    if place.offset > (place.stride - 1) / 2 + max(0, math.ceil(place.offset - place.stride / 2)):
        with pytest.raises(GeometryError, match="px inside the image"):
            align([place], sizes)
        return
    plan = align([place], sizes)
    behind = plan.padding.behind(side)
    assert behind >= 0
    padded = plan.padding.before + side + behind
    (count,) = sizes(padded)
    first, last = (plan.places[0].offset + plan.places[0].stride * i for i in (0, count - 1))
    half = plan.places[0].stride / 2
    assert first - half <= 0
    assert last + half >= side - 1
    upsampled = (count - 1) * plan.steps[0].factor + plan.steps[0].kernel
    assert plan.steps[0].crop >= 0
    assert upsampled - plan.steps[0].crop >= side


@pytest.mark.parametrize("stride", [32, 8, 4])
@pytest.mark.parametrize("name", ["minivgg", "squeezenet1_1", "resnet18", "efficientnet_lite0", "alexnet", "caffe-googlenet"])
def test_few_sizes_occur_inside_a_net(name: str, stride: int) -> None:
    padding = build_on_meta(ModelSpec(name=f"fcn{stride}s-{name}", padding="same"), {"semantic": 2}).alignment.padding
    padded = [padding.before + side + padding.behind(side) for side in range(1, 400)]
    assert padded == sorted(padded)
    assert {size % 32 for size in padded} == {padding.smallest % 32}
    # never a whole period more than the image needs
    assert all(
        size - 32 < padding.smallest or size - 32 - padding.smallest + padding.covers < side
        for side, size in enumerate(padded, 1)
    )


@pytest.mark.parametrize("name", ["caffe-vgg16", "caffe-alexnet", "caffe-googlenet"])
def test_the_references_nets_are_never_padded(name: str) -> None:
    assert build_on_meta(ModelSpec(name=f"fcn32s-{name}"), {"semantic": 2}).alignment.padding == Padding()
