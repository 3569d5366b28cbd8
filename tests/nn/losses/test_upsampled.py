"""Cross entropy of coarse logits against that of the upsampled ones, which is torch's own."""

import pytest
import torch

from fullconv.nn.losses import upsampled
from fullconv.nn.losses.cross_entropy import cross_entropy
from fullconv.nn.losses.reduction import Reduction
from fullconv.nn.losses.upsampled import pixel_factors, upsampled_cross_entropy
from fullconv.nn.upsample import Deconvolution, bilinear_kernel

CLASSES = 5


@pytest.mark.parametrize("reduction", ["mean", "sum", "image_mean"])
@pytest.mark.parametrize(("kernel", "factor"), [(16, 8), (4, 2), (15, 8), (64, 32)])
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_loss_and_gradient_are_those_of_upsampled_logits(
    reduction: Reduction, kernel: int, factor: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(kernel + rows)
    start, size = factor + 1, (3 * factor + 1, 4 * factor + 2)
    coarse = torch.randn(2, CLASSES, 6, 7, generator=generator, dtype=torch.float64) * 30  # some probabilities are all but 0
    target = torch.randint(0, CLASSES, (2, *size), generator=generator)
    target[0, :, : factor + 3] = 255
    weights = torch.tensor([0.0, 1.0, 2.0, 0.5, 3.0])
    layer = Deconvolution(CLASSES, kernel, factor, learned=False).double()
    monkeypatch.setitem(upsampled.ENTRIES, "cpu", rows * 2 * size[1] * CLASSES)
    given = [coarse.clone().requires_grad_() for _ in range(2)]
    share = 0.5 if reduction == "mean" else 1.0
    whole = layer(given[0])[..., start : start + size[0], start : start + size[1]]
    truth = cross_entropy(whole, target, reduction, weights=weights, share=share, images=4)
    factors = pixel_factors(reduction, target, None, share, images=4)
    found = upsampled_cross_entropy(given[1], layer, start, target, factors, weights)
    (3 * truth).backward()
    (3 * found).backward()
    torch.testing.assert_close(found, truth, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(given[1].grad, given[0].grad, rtol=1e-9, atol=1e-12)


def test_without_valid_pixels_it_is_nothing() -> None:
    coarse = torch.randn(1, CLASSES, 3, 3, requires_grad=True)
    target = torch.full((1, 4, 4), 255)
    layer = Deconvolution(CLASSES, 4, 2, learned=False)
    loss = upsampled_cross_entropy(coarse, layer, 1, target, pixel_factors("mean", target, None))
    loss.backward()
    assert loss.item() == 0
    assert coarse.grad is not None
    assert not coarse.grad.any()


def test_logits_of_bfloat16_are_upsampled_in_float32() -> None:
    coarse = torch.randn(1, CLASSES, 9, 9, generator=torch.Generator().manual_seed(0)).bfloat16()
    target = torch.randint(0, CLASSES, (1, 50, 50), generator=torch.Generator().manual_seed(1))
    layer = Deconvolution(CLASSES, 16, 8, learned=False)
    short = coarse.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = upsampled_cross_entropy(short, layer, 9, target, pixel_factors("mean", target, None))
    truth = cross_entropy(layer(coarse.float())[..., 9:59, 9:59], target)
    torch.testing.assert_close(found, truth, rtol=1e-5, atol=0)
    found.backward()
    assert short.grad is not None
    assert short.grad.dtype == torch.bfloat16


def test_a_filter_that_is_loaded_is_bilinear_or_told_from_it() -> None:
    layer, other = (Deconvolution(2, 4, 2, learned=False) for _ in range(2))
    layer.load_state_dict(other.state_dict())
    assert layer.bilinear
    layer.load_state_dict({"weight": bilinear_kernel(4).expand(2, 1, 4, 4) * 1.01})
    assert not layer.bilinear
    assert not Deconvolution(2, 4, 2, learned=True).bilinear


@pytest.mark.parametrize(("kernel", "factor"), [(4, 2), (3, 2), (16, 8), (15, 8)])
def test_matrices_upsample_as_the_deconvolution_does(kernel: int, factor: int) -> None:
    layer, scores = Deconvolution(3, kernel, factor, learned=False), torch.randn(2, 3, 5, 7)
    whole = layer(scores)
    found = layer._by_matrices(scores, 0, whole.shape[-2])
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(layer._by_matrices(scores, 3, 9), whole[:, :, 3:9], rtol=0, atol=1e-5)
