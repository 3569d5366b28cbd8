"""Functions of torchvision that a graph keeps whole: they change no position."""

import sys
from collections.abc import Callable
from typing import Any


def functions_of_torchvision() -> tuple[Callable[..., Any], ...]:
    """Return stochastic depth and the shuffling of channels; none while nobody has imported torchvision.

    A net that calls them comes from torchvision, so it is there by then, and nobody else has to wait for it to be imported.
    """
    if "torchvision" not in sys.modules:
        return ()
    from torchvision.models import shufflenetv2
    from torchvision.ops import stochastic_depth

    return stochastic_depth, shufflenetv2.channel_shuffle
