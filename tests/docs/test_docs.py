"""The examples in the README, the docs and the docstrings run and give what they say."""

import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import pytest

import fullconv
from fullconv.cli import app
from fullconv.spec.recipe import load_recipe, parse_overrides, shipped_recipes

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [found.name for found in pkgutil.walk_packages(fullconv.__path__, "fullconv.") if not found.name.endswith("__main__")]


COMMAND = re.compile(
    r"`(?:[A-Z_]+=\S+ )?fullconv ([a-z]+ [^`\n]+)`|^\s*(?:[A-Z_]+=\S+ )?fullconv ([a-z]+ [^`\n]+)$", re.MULTILINE
)
"""In the running text or on a line of its own; a word alone only names a command."""


def commands_of(page: Path) -> list[list[str]]:
    found = (inline or alone for inline, alone in COMMAND.findall(page.read_text(encoding="utf-8")))
    return [shlex.split(command, comments=True) for command in found if command != "data check"]


@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=lambda page: page.name)
def test_commands_on_pages_are_understood(page: Path) -> None:
    """Names, options and recipes exist; whether a command does what it says is tested with the command."""
    for command in commands_of(page):
        _, given, _ = app.parse_args(command, exit_on_error=False, print_error=False)
        if given.arguments.get("recipe") in shipped_recipes():
            load_recipe(given.arguments["recipe"], parse_overrides(given.arguments.get("overrides", ())))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_on_pages(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    assert doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0
