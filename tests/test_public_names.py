"""The public names: all there, typed and described, on one page, and loaded only when they are used."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import fullconv

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
CALLED = [name for name in fullconv.__all__ if inspect.isfunction(getattr(fullconv, name))]
CLASSES = [name for name in fullconv.__all__ if inspect.isclass(getattr(fullconv, name))]


def test_the_page_lists_every_name_once_and_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(fullconv.__all__)
    assert all(len(line) > 10 for _, line in rows)


@pytest.mark.parametrize("name", CALLED)
def test_functions_are_typed_and_described(name: str) -> None:
    function = getattr(fullconv, name)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    text = inspect.getdoc(function) or ""
    assert len(text) > 40
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty, parameter
        assert re.search(rf"\b{parameter.name}\b", text), f"{parameter.name} is not described"


@pytest.mark.parametrize("name", CLASSES)
def test_classes_and_their_methods_are_typed_and_described(name: str) -> None:
    owner = getattr(fullconv, name)
    assert inspect.getdoc(owner)
    for method, function in vars(owner).items():
        if inspect.isfunction(function) and not method.startswith("_"):
            assert inspect.getdoc(function), f"{name}.{method} is not described"
            hints = typing.get_type_hints(function, include_extras=True) if name == "Predictor" else function.__annotations__
            assert "return" in hints, f"{name}.{method} does not say what it returns"


def test_importing_fullconv_imports_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "PIL", "pydantic", "lightning"}
    code = f"import fullconv, sys; dir(fullconv); print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_package_is_there_without_being_imported_by_hand() -> None:
    packages = [found.name for found in pkgutil.iter_modules(fullconv.__path__) if found.name != "__main__"]
    assert {"nn", "data", "geometry", "spec", "evaluation", "inference", "metrics"} <= set(packages)
    assert [getattr(fullconv, name).__name__ for name in packages] == [f"fullconv.{name}" for name in packages]
    light = ("errors", "labels", "metrics", "spec")  # nothing has imported these in a process of its own
    code = "import fullconv\n" + "\n".join(f"assert fullconv.{name}.__name__ == 'fullconv.{name}'" for name in light)
    subprocess.run([sys.executable, "-c", code], check=True)
    assert fullconv.nn is importlib.import_module("fullconv.nn")


@pytest.mark.parametrize("name", ["nonsense", "_private", "__wrapped__", "nn.losses"])
def test_other_names_are_not_there(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'fullconv' has no attribute '{name}'"):
        getattr(fullconv, name)
