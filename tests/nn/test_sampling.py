"""Loss sampling: which pixels belong to which coarse output, and that the sampled loss is unbiased, mask by mask."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.geometry.axis import Place
from fullconv.nn.build import build_on_meta
from fullconv.nn.losses import count_valid, cross_entropy
from fullconv.nn.sampling import draw_patches, nearest_output
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


@pytest.mark.parametrize("name", ["fcn32s-minivgg", "fcn8s-squeezenet1_1", "fcn32s-caffe-vgg16", "fcn16s-resnet18"])
@settings(max_examples=25)
@given(side=st.integers(1, 260))
def test_an_fcn_has_an_output_for_every_pixel(name: str, side: int) -> None:
    decoder = build_on_meta(ModelSpec(name=name), {"semantic": 3}).decoder
    found = nearest_output(decoder.places[0], side)
    before, after = decoder.before, decoder.extra(side)
    count = decoder._sizes(before + side + after)[0]
    assert int(found.min()) >= 0
    assert int(found.max()) < count


def test_blocks_are_kept_whole_in_about_the_right_share() -> None:
    torch.manual_seed(3)
    place, share, images = Place(Fraction(8), Fraction(7, 2)), 0.25, 400
    kept = draw_patches(place, (16, 24), images, share)
    blocks = kept.reshape(images, 2, 8, 3, 8)
    assert (blocks == blocks[:, :, :1, :, :1]).all()
    found, drawn = kept.float().mean().item(), images * 6
    assert abs(found - share) < 5 * math.sqrt(share * (1 - share) / drawn)
    assert draw_patches(place, (16, 24), 1, 1.0).all()


@pytest.mark.parametrize("normalisation", ["mean", "sum"])
def test_over_all_masks_the_loss_and_its_gradient_are_those_of_the_whole_image(normalisation: str) -> None:
    """64 masks of 2 x 3 outputs, each weighed by its probability: no sampling error, so equality to rounding."""
    torch.manual_seed(0)
    share, classes, side = 0.3, 4, 4
    target = torch.randint(0, classes, (1, 2 * side, 3 * side))
    target[0, :3, :5] = 255
    logits = torch.randn(1, classes, *target.shape[1:], dtype=torch.float64, requires_grad=True)
    scaled = 1.0 if normalisation == "sum" else 1 / count_valid(target).item()
    whole = share * _sum_of_losses(logits, target) if normalisation == "sum" else scaled * _sum_of_losses(logits, target)
    (whole_gradient,) = torch.autograd.grad(whole, logits)
    expected, gradient, by_kept = torch.zeros((), dtype=torch.float64), torch.zeros_like(logits), 0.0
    for mask in itertools.product((False, True), repeat=6):
        kept = torch.tensor(mask).reshape(1, 2, 3).repeat_interleave(side, 1).repeat_interleave(side, 2)
        chance = share ** sum(mask) * (1 - share) ** (6 - sum(mask))
        sampled = target.masked_fill(~kept, 255)
        loss = _sum_of_losses(logits, sampled)
        if normalisation == "mean":
            by_kept += chance * loss.item() / max(count_valid(sampled).item(), 1)
            loss = loss / (share * count_valid(target).double())
        expected += chance * loss.detach()
        gradient += chance * torch.autograd.grad(loss, logits)[0]
    torch.testing.assert_close(expected, whole.detach(), atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(gradient, whole_gradient, atol=1e-12, rtol=1e-12)
    if normalisation == "mean":  # what a division by the number of kept pixels would expect
        assert abs(by_kept - whole.item()) > 0.01


def _sum_of_losses(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits, target, ignore_index=255, reduction="sum")


def test_the_loss_divides_by_what_it_is_told() -> None:
    """The training step hands ``share * valid pixels`` to :func:`cross_entropy` as a fraction of pixels."""
    logits, target = torch.randn(1, 3, 4, 4), torch.randint(0, 3, (1, 4, 4))
    told = cross_entropy(logits, target, "mean", valid_pixels=torch.tensor(16) * 0.25)
    assert told.item() == pytest.approx(4 * cross_entropy(logits, target, "mean").item())
