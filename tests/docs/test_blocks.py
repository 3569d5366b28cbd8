"""Blocks on pages that are not run as examples: Python names what there is, YAML has keys that there are."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import fullconv
from fullconv.spec.reference import recipe_keys

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
KEYS = {key.name: key for key in recipe_keys()}


def blocks(language: str) -> list[Any]:
    found = []
    for page in PAGES:
        texts = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        found += [
            pytest.param(text, id=f"{page.name}-{number}") for number, text in enumerate(texts) if not text.startswith(">>>")
        ]
    return found


@pytest.mark.parametrize("code", blocks("python"))
def test_python_names_what_there_is(code: str) -> None:
    """They need a model, photographs or another program; what they name of this package exists."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fullconv"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module}.{alias.name}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fullconv":
            assert hasattr(fullconv, node.attr), f"fullconv.{node.attr}"


def dotted(place: Any, before: str = "") -> Iterator[str]:
    """Yield the keys of nested mappings, down to keys whose values may be anything."""
    for name, value in place.items():
        yield f"{before}{name}"
        if isinstance(value, dict) and KEYS.get(f"{before}{name}") is not None and KEYS[f"{before}{name}"].group:
            yield from dotted(value, f"{before}{name}.")


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_has_keys_that_there_are(text: str) -> None:
    content = yaml.safe_load(text)
    if set(content) <= {"name", "model", "data", "train"}:
        assert set(dotted(content)) <= set(KEYS)
    else:  # a part of a recipe, such as labels
        assert all(any(known.endswith(f".{name}") for known in KEYS) for name in content), list(content)
