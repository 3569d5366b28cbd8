"""What an engine promises, held against the plain net: tolerances of logits, and labels that are equal but for ties."""

import torch
from torch import Tensor

TOLERANCE = {"fp32": (1e-4, 1e-4), "bf16": (0.2, 0.04)}
"""Of any logit, and of the root of the mean square, as shares of the largest; docs/engines.md states them."""


def image(size: tuple[int, int]) -> dict[str, Tensor]:
    """Return one image of (height, width), the same every time."""
    torch.manual_seed(size[0])
    return {"rgb": torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)}


def assert_alike(found: Tensor, truth: Tensor, precision: str, what: object, sure: float = 0.9) -> None:
    """Logits within the tolerance; labels equal but for ties: where the two largest logits differ by less than it allows.

    In fp32 a share ``sure`` of the pixels has to be no tie.
    """
    assert found.shape == truth.shape, what
    assert found.dtype == torch.float32, what
    allowed, usual = (share * float(truth.abs().max()) for share in TOLERANCE[precision])
    assert float((found - truth).abs().max()) <= allowed, what
    assert float((found - truth).square().mean().sqrt()) <= usual, what
    first, second = truth.topk(2, 1).values.unbind(1)
    clear = first - second > 2 * allowed
    assert torch.equal(found.argmax(1)[clear], truth.argmax(1)[clear]), what
    if precision == "fp32":
        assert clear.float().mean() > sure, (what, "nearly all pixels are ties, so equal labels would show nothing")
