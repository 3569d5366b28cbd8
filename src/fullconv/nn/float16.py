"""Weights in half the bytes: which of them are stored in float16, whose numbers have 11 bits and end at 65504.

One rule for all files, checkpoints and exported ones: a tensor of :data:`MANY` numbers or more is. Smaller ones (batch norms,
biases, depth-wise and early kernels) are a small part of the bytes and a large part of the change; docs/results.md has the
figures under "Which weights are stored in 16 bits".
"""

from collections.abc import Mapping

from torch import Tensor

from fullconv.errors import WeightsError

MANY = 20_000
"""Numbers of a tensor from which on it is stored in float16."""


def takes_half(numbers: int) -> bool:
    """Return whether a tensor of so many floating point numbers is stored in float16.

    Examples
    --------
    >>> takes_half(256 * 256), takes_half(256)
    (True, False)
    """
    return numbers >= MANY


def as_float16(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors, those of floating point numbers in float16 where :func:`takes_half` says so.

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
        found[name] = tensor.half() if tensor.is_floating_point() and takes_half(tensor.numel()) else tensor
        if not found[name].isfinite().all():
            raise WeightsError(f"{name} has values up to {tensor.abs().max():.3g}, and float16 ends at 65504; store float32")
    return found
