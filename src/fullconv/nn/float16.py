"""Weights in half the bytes, for models that are shared: float16 has 11 bits of a number and ends at 65504."""

from collections.abc import Mapping

from torch import Tensor

from fullconv.errors import WeightsError


def as_float16(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with floating point numbers in float16, others as they are.

    Raises
    ------
    WeightsError
        When a number lies beyond float16, or is none.

    Examples
    --------
    >>> import torch
    >>> as_float16({"weight": torch.tensor([0.1]), "count": torch.tensor([3])})
    {'weight': tensor([0.1000], dtype=torch.float16), 'count': tensor([3])}
    """
    found = {}
    for name, tensor in tensors.items():
        found[name] = tensor.half() if tensor.is_floating_point() else tensor
        if not found[name].isfinite().all():
            raise WeightsError(f"{name} has values up to {tensor.abs().max():.3g}, and float16 ends at 65504; store float32")
    return found
