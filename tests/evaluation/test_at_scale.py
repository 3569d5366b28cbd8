"""A net trained at a scale sees what training showed it, and its logits come back to where they belong."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fullconv.data.sample import Sample
from fullconv.data.scaled import Scaled
from fullconv.evaluation.at_scale import logits_at_scale
from fullconv.labels import LabelSet, voc_colors

SCALES = (0.25, 0.37, 0.5, 0.9, 1.0, 1.5, 2.0)


class One:
    """A data set of one sample: colours, and depth with a hole."""

    name = "one"
    labels = {"semantic": LabelSet(("a", "b"), voc_colors(2))}  # noqa: RUF012  # a protocol's attribute

    def __init__(self, height: int, width: int) -> None:
        random = np.random.default_rng([height, width])
        depth = random.random((height, width, 1)).astype(np.float32) + 1
        depth[0, 0] = 0
        colors = random.integers(0, 256, (height, width, 3), np.uint8)
        truth = random.integers(0, 2, (height, width)).astype(np.uint8)
        self.sample = Sample.from_arrays("one", {"rgb": colors, "depth": depth}, {"semantic": truth})

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return self.sample


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(SCALES))
def test_the_net_sees_the_very_pixels_that_training_shows(height: int, width: int, scale: float) -> None:
    data, seen = One(height, width), {}

    def net(inputs):
        seen.update(inputs)
        return {"semantic": inputs["depth"]}

    single = {name: image[None] for name, image in data[0].inputs.items()}
    found = logits_at_scale(net, single, scale)
    shown = Scaled(data, scale)[0].inputs
    assert {name: image.dtype for name, image in seen.items()} == {"rgb": torch.uint8, "depth": torch.float32}
    for name, image in shown.items():
        assert torch.equal(seen[name][0], image)
    assert found["semantic"].shape == (1, 1, height, width)
    pair = {name: torch.cat([image, image.flip(-1)]).as_subclass(torch.Tensor) for name, image in single.items()}
    logits_at_scale(net, pair, scale)
    for name, image in shown.items():  # also with others in one batch
        assert torch.equal(seen[name][0], image)


@pytest.mark.parametrize("scale", [0.25, 0.5, 2.0, 3.0])
def test_logits_come_back_to_their_place(scale: float) -> None:
    """A net that tells where each of its pixels lies on the image: brought back, every pixel must tell its own place."""
    height, width = 40, 64

    def net(inputs):
        small_height, small_width = inputs["rgb"].shape[-2:]
        y = (torch.arange(small_height) + 0.5) / scale - 0.5  # centres of pixels, as everywhere
        x = (torch.arange(small_width) + 0.5) / scale - 0.5
        return {"place": torch.stack(torch.meshgrid(y, x, indexing="ij"))[None]}

    found = logits_at_scale(net, {"rgb": torch.zeros(1, 3, height, width, dtype=torch.uint8)}, scale)["place"][0]
    edge = 4  # nearer than half a pixel of the net's there is nothing to interpolate with
    y, x = np.mgrid[:height, :width]
    for own, expected in zip(found.numpy(), (y, x), strict=True):
        np.testing.assert_allclose(own[edge:-edge, edge:-edge], expected[edge:-edge, edge:-edge], atol=1e-4)


def test_logits_that_shrink_are_averaged() -> None:
    """Of a net trained at twice the size, each pixel has the weighted mean of the logits around its place: none is dropped."""
    noise = torch.randn(1, 2, 24, 32, generator=torch.Generator().manual_seed(0))
    found = logits_at_scale(lambda inputs: {"a": noise}, {"rgb": torch.zeros(1, 3, 12, 16, dtype=torch.uint8)}, 2)["a"]
    triangle = np.array([1, 3, 3, 1]) / 8  # distances of 1.5, .5, .5 and 1.5 of two pixels' width, from the centre
    weights = np.outer(triangle, triangle)
    for y, x in ((1, 1), (5, 9), (10, 14)):
        window = noise[0, :, 2 * y - 1 : 2 * y + 3, 2 * x - 1 : 2 * x + 3].numpy()
        np.testing.assert_allclose(found[0, :, y, x], (window * weights).sum((1, 2)), atol=1e-5)


def test_at_its_own_size_nothing_is_touched() -> None:
    logits, image = torch.randn(1, 2, 5, 6).bfloat16(), torch.zeros(1, 3, 5, 6)
    seen = []
    found = logits_at_scale(lambda inputs: seen.append(inputs["rgb"]) or {"a": logits}, {"rgb": image}, 1.0)
    assert found["a"] is logits
    assert seen[0] is image
