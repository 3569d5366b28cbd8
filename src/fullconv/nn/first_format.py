"""Checkpoints of format 1, which the first version wrote: their names for the tensors, translated.

Format 1 named score layers and upsamplings by stride and stored the preprocessing twice, in the header and as tensors; the header
is what counts.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor


def translate(tensors: Mapping[str, Tensor], strides: Sequence[int]) -> dict[str, Tensor]:
    """Return the tensors of a file of format 1 by today's names.

    Parameters
    ----------
    tensors
        By the names in the file.
    strides
        Of the model's maps, coarse to fine.

    Examples
    --------
    >>> import torch
    >>> names = ["trunks.rgb.graph.conv1.bias", "score.semantic.rgb.16.bias", "upsample.semantic.1.weight", "normalise.rgb.mean"]
    >>> list(translate(dict.fromkeys(names, torch.zeros(1)), (32, 16)))
    ['core.trunks.rgb.graph.conv1.bias', 'core.heads.semantic.score.rgb.1.bias', 'core.heads.semantic.upsample.1.weight']
    """
    level = {str(stride): str(i) for i, stride in enumerate(strides)}
    step = {str(stride): str(i) for i, stride in enumerate((*strides[1:], 1))}
    found = {}
    for name, tensor in tensors.items():
        first, *rest = name.split(".")
        if first == "score" and len(rest) == 4:
            head, stream, stride, kind = rest
            found[f"core.heads.{head}.score.{stream}.{level.get(stride, stride)}.{kind}"] = tensor
        elif first == "upsample" and len(rest) == 3:
            head, stride, kind = rest
            found[f"core.heads.{head}.upsample.{step.get(stride, stride)}.{kind}"] = tensor
        elif first == "trunks":
            found[f"core.{name}"] = tensor
        elif first != "normalise":
            found[name] = tensor
    return found
