"""Weights in half the bytes, for models that are shared: float16 has 11 bits of a number and ends at 65504.

Batch norms, biases and depth-wise kernels are few numbers with much weight: they stay as they are. With them in float16 too,
0.12 % of the labels of 61 photographs changed in the bundled model, without them 0.02 % (``models/voc-subset/make.py`` says it).
"""

from collections.abc import Mapping

from torch import Tensor

from fullconv.errors import WeightsError

MANY = 20_000
"""Numbers of a tensor from which on it is stored in float16."""


def as_float16(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors, those of at least :data:`MANY` floating point numbers in float16.

    Raises
    ------
    WeightsError
        When a number lies beyond float16, or is none.

    Examples
    --------
    >>> import torch
    >>> {name: str(found.dtype) for name, found in as_float16({"weight": torch.ones(256, 256), "bias": torch.ones(256)}).items()}
    {'weight': 'torch.float16', 'bias': 'torch.float32'}
    """
    found = {}
    for name, tensor in tensors.items():
        found[name] = tensor.half() if tensor.is_floating_point() and tensor.numel() >= MANY else tensor
        if not found[name].isfinite().all():
            raise WeightsError(f"{name} has values up to {tensor.abs().max():.3g}, and float16 ends at 65504; store float32")
    return found
