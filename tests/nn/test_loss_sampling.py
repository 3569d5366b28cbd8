"""Loss sampling: which pixels belong to which coarse output, and that the sampled loss is unbiased, mask by mask."""

import functools
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.geometry.axis import Place
from fullconv.nn.assemble import build_on_meta
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.nn.loss_sampling import draw_patches, nearest_output
from fullconv.nn.losses.cross_entropy import cross_entropy
from fullconv.nn.losses.reduction import count_valid
from fullconv.spec import ModelSpec

HALVES = st.integers(-400, 400).map(lambda n: Fraction(n, 2))


@given(st.sampled_from([1, 2, 4, 8, 32]), HALVES, st.integers(1, 200))
def test_a_pixel_belongs_to_the_nearest_output(stride: int, offset: Fraction, side: int) -> None:
    found = nearest_output(Place(Fraction(stride), offset), side).tolist()
    for pixel, index in enumerate(found):
        if index == 0:  # the first output takes all that lies before it
            assert pixel <= offset + Fraction(stride, 2)
            continue
        away = {i: abs(stride * i + offset - pixel) for i in range(index - 2, index + 3)}
        assert away[index] == min(away.values())
    assert all(b - a in (0, 1) for a, b in itertools.pairwise(found))


@functools.cache
def on_meta(name: str) -> FCN:
    return build_on_meta(ModelSpec(name=name), {"semantic": 3}).eval()  # batch norm has no statistics of a single pixel


NAMES = [
    "fcn32s-minivgg",
    "fcn8s-minivgg",
    "fcn8s-squeezenet1_1",
    "fcn32s-caffe-alexnet",
    "fcn32s-caffe-vgg16",
    "fcn16s-resnet18",
]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(side=st.integers(1, 200))
def test_every_pixel_of_an_image_has_the_nearest_of_the_outputs_that_exist(name: str, side: int) -> None:
    """Against an argmin over all of them; how many there are is what the net returns."""
    model = on_meta(name)
    outputs = model.score_maps(torch.empty(1, 3, side, 1, device="meta"))["semantic"][0].shape[2]
    stride, offset = model.alignment.places[0]
    nearest = [min(range(outputs), key=lambda i: abs(stride * i + offset - pixel)) for pixel in range(side)]
    assert nearest_output(model.alignment.places[0], side).tolist() == nearest


@pytest.mark.parametrize(("name", "side"), [("fcn32s-minivgg", 130), ("fcn32s-squeezenet1_1", 97), ("fcn32s-caffe-alexnet", 33)])
def test_the_nearest_output_is_the_one_that_weighs_most_in_a_pixels_score(name: str, side: int) -> None:
    """No coordinate is computed here: each output alone is set to 1 and upsampled by the net, which gives a ramp about it."""
    model = build_model(ModelSpec(name=name), {"semantic": 1})
    image = torch.zeros(1, 3, side, side)
    with torch.no_grad():
        outputs = on_meta(name).score_maps(image.to("meta"))["semantic"][0].shape[2]
        alone = torch.eye(outputs).reshape(outputs, 1, outputs, 1).expand(-1, -1, -1, outputs)  # one row of outputs each
        share = model.fuse("semantic", [alone.contiguous()], image)[:, 0, :, side // 2]  # (outputs, side)
    found = nearest_output(model.alignment.places[0], side)
    torch.testing.assert_close(share.gather(0, found[None])[0], share.amax(0))
    assert found.unique().numel() > 1


def test_blocks_are_kept_whole_in_about_the_right_share() -> None:
    torch.manual_seed(3)
    place, share, images = Place(Fraction(8), Fraction(7, 2)), 0.25, 400
    kept = draw_patches(place, (16, 24), images, share)
    blocks = kept.reshape(images, 2, 8, 3, 8)
    assert (blocks == blocks[:, :, :1, :, :1]).all()
    found, drawn = kept.float().mean().item(), images * 6
    assert abs(found - share) < 5 * math.sqrt(share * (1 - share) / drawn)
    assert draw_patches(place, (16, 24), 1, 1.0).all()


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float64])
def test_the_draw_does_not_depend_on_the_precision_of_a_step(precision: torch.dtype) -> None:
    """Lightning makes the net's precision the default while a step runs; bfloat16 has no number below 0.001 but 0 to draw."""
    place = Place(Fraction(1), Fraction(0))
    torch.manual_seed(5)
    kept = draw_patches(place, (500, 500), 1, 0.001)
    torch.manual_seed(5)
    torch.set_default_dtype(precision)
    try:
        assert torch.equal(draw_patches(place, (500, 500), 1, 0.001), kept)
    finally:
        torch.set_default_dtype(torch.float32)
    assert abs(int(kept.sum()) - 250) < 5 * math.sqrt(250)


@pytest.mark.parametrize("share", [0.25, 0.9])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_over_all_masks_the_loss_and_its_gradient_are_those_of_the_whole_image(
    reduction: Literal["mean", "sum"], share: float, precision: torch.dtype
) -> None:
    """64 masks of 2 x 3 outputs, each weighed by its probability: no sampling error, so equality to rounding."""
    torch.manual_seed(0)
    side, classes = 4, 4
    target = torch.randint(0, classes, (1, 2 * side, 3 * side))
    target[0, :3, :5] = 255
    valid = count_valid(target)
    logits = torch.randn(1, classes, *target.shape[1:], dtype=precision, requires_grad=True)
    whole = cross_entropy(logits, target, reduction) * (share if reduction == "sum" else 1)
    (whole_gradient,) = torch.autograd.grad(whole, logits)
    expected, gradient, by_kept = torch.zeros((), dtype=precision), torch.zeros_like(logits), 0.0
    for mask, chance in masks(share):
        kept = mask.repeat_interleave(side, 1).repeat_interleave(side, 2)
        sampled = target.masked_fill(~kept, 255)
        loss = cross_entropy(logits, sampled, reduction, valid_pixels=valid, share=share)
        expected += chance * loss.detach()
        gradient += chance * torch.autograd.grad(loss, logits)[0]
        by_kept += chance * cross_entropy(logits, sampled).item()
    close = 1e-12 if precision == torch.float64 else 1e-6
    torch.testing.assert_close(expected, whole.detach(), atol=0, rtol=close)
    torch.testing.assert_close(gradient, whole_gradient, atol=close, rtol=0)
    if reduction == "mean":  # the mean over those that were kept is another
        assert abs(by_kept - whole.item()) > 1e-5


def masks(share: float) -> Iterator[tuple[torch.Tensor, float]]:
    """All masks of 2 x 3 outputs, bool (1, 2, 3), and the probability of each."""
    for mask in itertools.product((False, True), repeat=6):
        yield torch.tensor(mask).reshape(1, 2, 3), share ** sum(mask) * (1 - share) ** (6 - sum(mask))


def test_few_valid_pixels_are_no_exception() -> None:
    """One valid pixel, kept with probability 1/4, is divided by 1/4: four times the loss a fourth of the time."""
    logits, target = torch.randn(1, 3, 4, 4), torch.full((1, 4, 4), 255)
    target[0, 1, 2] = 1
    whole = cross_entropy(logits, target).item()
    assert cross_entropy(logits, target, valid_pixels=count_valid(target), share=0.25).item() == pytest.approx(4 * whole)
    nothing = torch.full((1, 4, 4), 255)
    assert cross_entropy(logits, nothing, valid_pixels=count_valid(nothing), share=0.25).item() == 0


def test_a_share_of_one_changes_no_bit() -> None:
    logits, target = torch.randn(2, 3, 7, 5), torch.randint(0, 3, (2, 7, 5))
    assert torch.equal(cross_entropy(logits, target, share=1.0), cross_entropy(logits, target))
