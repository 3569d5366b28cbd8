"""Bilinear deconvolution against its definition and against interpolation by torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fullconv.nn.upsample import Deconvolution, bilinear_kernel


@pytest.mark.parametrize("size", [1, 3, 4, 15, 16, 63, 64])
def test_kernel_is_the_reference_filler(size: int) -> None:
    factor = (size + 1) // 2
    center = factor - 1 if size % 2 == 1 else factor - 0.5
    grid = np.ogrid[:size, :size]
    truth = (1 - abs(grid[0] - center) / factor) * (1 - abs(grid[1] - center) / factor)
    np.testing.assert_allclose(bilinear_kernel(size).numpy(), truth, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 8, 32])
def test_interior_is_half_pixel_interpolation(factor: int) -> None:
    scores = torch.randn(2, 3, 6, 5)
    up = Deconvolution(3, 2 * factor, factor, learned=False)(scores)
    crop = factor // 2
    found = up[:, :, crop : crop + 6 * factor, crop : crop + 5 * factor]
    truth = F.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)
    inner = slice(factor, -factor)
    torch.testing.assert_close(found[:, :, inner, inner], truth[:, :, inner, inner], rtol=0, atol=1e-5)


def test_fixed_filters_are_no_parameters() -> None:
    assert list(Deconvolution(2, 4, 2, learned=False).parameters()) == []
    assert [p.numel() for p in Deconvolution(21, 64, 32, learned=True).parameters()] == [86_016]
