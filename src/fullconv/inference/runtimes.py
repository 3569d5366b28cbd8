"""Libraries that run nets in place of PyTorch, which extras of fullconv install."""

import importlib
from types import ModuleType

from fullconv.errors import SpecError


def runtime(module: str, extra: str) -> ModuleType:
    """Return a library that an extra of fullconv installs.

    Raises
    ------
    SpecError
        When it is not installed; it says what installs it.

    Examples
    --------
    >>> runtime("json", "onnx").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SpecError(f"this needs {module}, which is not installed; pip install 'fullconv[{extra}]'") from error
