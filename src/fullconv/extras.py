"""Libraries that are optional, which extras of fullconv install."""

import importlib
from types import ModuleType

from fullconv.errors import SpecError


def extra_module(module: str, extra: str) -> ModuleType:
    """Return a module of a library that an extra of fullconv installs.

    Raises
    ------
    SpecError
        When it is not installed; it says what installs it.

    Examples
    --------
    >>> extra_module("json.decoder", "onnx").__name__
    'json.decoder'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise SpecError(f"this needs {library}, which is not installed; pip install 'fullconv[{extra}]'") from error
