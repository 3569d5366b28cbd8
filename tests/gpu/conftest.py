"""Tests that need a CUDA card: what it computes is held to what a CPU computes. `pytest -m gpu` runs them alone."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def card(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """The card, with TF32 off: float32 is float32."""
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA card here")
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = False, True
    yield torch.device("cuda")
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = before
    torch.cuda.empty_cache()
