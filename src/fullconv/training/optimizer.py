"""Which parameters follow their gradients how fast: groups, and the learning rate at every step.

PAPER: section 4.3; reference ``solver.prototxt`` and the ``lr_mult`` and ``decay_mult`` of each ``net.py``: biases at twice
the learning rate and without decay, deconvolutions fixed.
"""

import math
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD, AdamW, Optimizer

from fullconv.nn.fcn import FCN
from fullconv.spec import OptimizerSpec

POLY_POWER = 0.9


def parameter_groups(model: FCN, spec: OptimizerSpec) -> list[dict[str, Any]]:
    """Return the groups of a model's trainable parameters.

    Each has ``name``, ``params``, ``weight_decay`` and ``factor``, on the learning rate.

    Parameters
    ----------
    model
        Parameters that need no gradient are left out; fixed deconvolutions are no parameters at all.
    spec
        Decay and factors.

    Examples
    --------
    >>> from fullconv.nn.build import build_model
    >>> from fullconv.spec import ModelSpec
    >>> model = build_model(ModelSpec(name="fcn16s-minivgg"), {"semantic": 21})
    >>> for group in parameter_groups(model, OptimizerSpec()):
    ...     print(group["name"], group["factor"], group["weight_decay"])
    weights 1.0 0.0005
    biases 2.0 0.0
    norms 1.0 0.0
    score weights 1.0 0.0005
    score biases 2.0 0.0
    """
    normed = {id(p) for part in model.modules() if isinstance(part, _BatchNorm | nn.LayerNorm) for p in part.parameters()}
    score = {id(p) for p in model.score_parameters()}
    upsampling = {id(p) for p in model.upsampling_parameters()}
    bias, bias_decay, factor = spec.bias_learning_rate_factor, spec.bias_weight_decay, spec.score_learning_rate_factor
    kinds = {
        "weights": (1.0, spec.weight_decay),
        "biases": (bias.trunk, bias_decay.trunk),
        "norms": (1.0, 0.0),
        "score weights": (factor, spec.weight_decay),
        "score biases": (factor * bias.score, bias_decay.score),
        "upsampling": (1.0, 0.0),  # decay would pull the bilinear filter towards zero
    }
    found: dict[str, list[nn.Parameter]] = {kind: [] for kind in kinds}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        ends = "biases" if name.endswith("bias") else "weights"
        if id(parameter) in upsampling:
            kind = "upsampling"
        elif id(parameter) in normed:
            kind = "norms"
        else:
            kind = f"score {ends}" if id(parameter) in score else ends
        found[kind].append(parameter)
    return [
        {"name": kind, "params": parameters, "factor": kinds[kind][0], "weight_decay": kinds[kind][1]}
        for kind, parameters in found.items()
        if parameters
    ]


FUSED = ("cpu", "cuda")
"""Where PyTorch moves all parameters in one go, in place of operation by operation."""


def build_optimizer(model: FCN, spec: OptimizerSpec, learning_rate: float, fused: bool = True) -> Optimizer:
    """Return the optimiser of a stage with its ``learning_rate``; :func:`set_learning_rate` changes it with the steps.

    ``fused`` moves all parameters in one go where PyTorch can (:data:`FUSED`); results differ by rounding.
    """
    groups = [group | {"lr": learning_rate * group["factor"]} for group in parameter_groups(model, spec)]
    parameters = [parameter for group in groups for parameter in group["params"]]
    fused = fused and all(parameter.device.type in FUSED and parameter.is_floating_point() for parameter in parameters)
    if spec.name == "adamw":
        return AdamW(groups, lr=learning_rate, fused=fused)
    return SGD(groups, lr=learning_rate, momentum=spec.momentum, fused=fused)


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Set the learning rate of every group to ``learning_rate`` times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["factor"]


def learning_rate_at(step: int, progress: float, learning_rate: float, spec: OptimizerSpec, longest_warmup: float = 1.0) -> float:
    """Return the learning rate of a step; it depends on nothing else, so a resumed stage goes on.

    Parameters
    ----------
    step
        Of the stage, counted from 0; the warm-up is in steps.
    progress
        The share of the stage that is over, 0..1: of its steps, or of its minutes.
    learning_rate, spec
        Of the stage, and how it is to change.
    longest_warmup
        The share of the stage, above 0, that the warm-up takes at most.

    Examples
    --------
    >>> [round(learning_rate_at(step, step / 100, 1.0, OptimizerSpec(schedule="cosine", warmup=4)), 3) for step in (0, 3, 50)]
    [0.25, 0.998, 0.5]
    """
    factor = {
        "fixed": 1.0,
        "poly": (1 - progress) ** POLY_POWER,
        "cosine": (1 + math.cos(math.pi * progress)) / 2,
    }[spec.schedule]
    warm = max((step + 1) / spec.warmup, progress / longest_warmup) if spec.warmup else 1.0
    return learning_rate * factor * min(1.0, warm)
