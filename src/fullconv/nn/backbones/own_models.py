"""A net of one's own as a backbone: an ``nn.Module`` that classifies images, from Python or by ``module:function``.

Names of model files are looked up in ``BACKBONES`` alone, and code of one's own gets in there only by being named outside of the
file, so that opening a file never runs any code that its name points to: by :func:`use_backbone`, by the name that a command or a
recipe is given, or by the environment variable ``FULLCONV_BACKBONES``.
"""

import copy
import importlib
import inspect
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from fullconv.errors import SpecError
from fullconv.nn.backbones.classifier import Classifier

VARIABLE = "FULLCONV_BACKBONES"
MARK = ":"
SIDES = (224, 32, 28, 64, 96, 128, 160, 192, 227, 256, 288, 299, 320, 384, 512)
"""Sides of images in pixels that classifiers are usually made for, in the order in which they are tried."""


def allowed(name: str) -> bool:
    """Return whether the environment variable ``FULLCONV_BACKBONES``, names with commas between, allows to import ``name``."""
    return name in (given.strip() for given in os.environ.get(VARIABLE, "").split(","))


def import_own(name: str) -> Classifier:
    """Import ``module:function`` and return what the function makes.

    Raises
    ------
    SpecError
        When it cannot be imported, is no function without arguments, or makes no classifier.
    """
    module_name, _, function_name = name.partition(MARK)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        file = f"{module_name.partition('.')[0]}.py"
        raise SpecError(
            f"the backbone {name!r} cannot be imported here: {error}; put {file} where Python finds it: in the folder that the "
            "command is started in, or in one of $PYTHONPATH"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        offered = [key for key, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == module_name]
        raise SpecError(
            f"the backbone {name!r}: {module.__name__} has no function {function_name!r}; it has {', '.join(offered) or 'none'}"
        )
    return as_classifier(function, name)


def as_classifier(given: Classifier | nn.Module | Callable[[], Any], name: str) -> Classifier:
    """Return how a net of one's own is built and used.

    Parameters
    ----------
    given
        A :class:`Classifier`, an ``nn.Module`` (float images (N, 3, H, W) to logits (N, K)), or a function without arguments that
        returns either. A module is taken to classify images of the first of ``SIDES`` that it runs on, in ImageNet's colours; a
        :class:`Classifier` says what else.
    name
        For messages.

    Raises
    ------
    SpecError
        When it is none of these, or runs on none of the usual sides.
    """
    if isinstance(given, Classifier):
        return given
    if isinstance(given, nn.Module):
        net = given
        return Classifier(lambda: _copied(net), _native_side(net, name))
    try:
        made = given()
    except TypeError as error:
        raise SpecError(f"the backbone {name!r} is no function without arguments: {error}") from error
    if isinstance(made, Classifier):
        return made
    if not isinstance(made, nn.Module):
        raise SpecError(
            f"the backbone {name!r} makes a {type(made).__name__}; accepted are an nn.Module and a fullconv Classifier"
        )
    return Classifier(given, _native_side(made, name))


def _copied(net: nn.Module) -> nn.Module:
    """Return a copy of ``net`` with its weights, on the device that nets are being built on when that is the meta device."""
    twin = copy.deepcopy(net)
    return twin.to("meta") if torch.get_default_device().type == "meta" else twin


def _native_side(net: nn.Module, name: str) -> int:
    """Return the first usual side of an image that ``net`` runs on."""
    first = next((part for part in net.modules() if isinstance(part, nn.Conv2d)), None)
    if first is None:
        raise SpecError(f"the backbone {name!r} has no nn.Conv2d, and only nets of convolutions can be backbones")
    failure: Exception | None = None
    shadow = copy.deepcopy(net).eval()
    for side in SIDES:
        try:
            with torch.no_grad():
                shadow(torch.zeros(1, first.in_channels, side, side, device=first.weight.device))
        except (RuntimeError, ValueError) as error:
            failure = failure or error
        else:
            return side
    raise SpecError(
        f"the backbone {name!r} runs on none of the usual image sides {', '.join(map(str, SIDES))} (224: {failure}); let it be a "
        "Classifier(build, native_side=...)"
    )
