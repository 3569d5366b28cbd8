"""What mkdocs asks while it builds the site: pages that are made of the code, and sections that only some versions have.

Made are the reference of commands (from their docstrings), of recipes (from the specs) and of Python's public names, and two
pages of files that stand at the root of the repository: the start (README.md) and CONTRIBUTING.md.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docstring_parser
from cyclopts import App
from mkdocs.structure.files import File, Files

import fullconv
from fullconv.cli import app
from fullconv.cli.examples import examples_of
from fullconv.spec.reference import Key, recipe_keys

ROOT = Path(__file__).parents[2]
SECTIONS = {
    "Service": {"serve.md": "Service", "page.md": "The page"},
    "Scale": {"large-images.md": "Large images", "rasters.md": "Rasters", "video.md": "Video", "scale.md": "Many machines"},
}
"""Sections of the navigation that hold the pages that are there, and are left out without any."""


def on_config(config: Any) -> Any:
    """Put sections into the navigation, before Geometry's neighbour The paper, for pages that are there."""
    place = next(number for number, entry in enumerate(config["nav"]) if "The paper" in entry)
    for title, pages in SECTIONS.items():
        there = [{name: page} for page, name in pages.items() if (ROOT / "docs" / page).is_file()]
        if there:
            config["nav"].insert(place, {title: there})
            place += 1
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made."""
    made = {
        "index.md": from_root("README.md"),
        "contributing.md": from_root("CONTRIBUTING.md"),
        "reference/commands.md": commands_page(),
        "reference/recipes.md": recipes_page(),
        "reference/python.md": python_page(),
    }
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def from_root(name: str) -> str:
    """Return a page of the repository's root as a page of the site: links to docs/ are links within, badges are left out."""
    text = (ROOT / name).read_text(encoding="utf-8")
    text = re.sub(r"^!\[Python .*$\n\n", "", text, flags=re.MULTILINE)
    text = (
        text.replace("](docs/", "](").replace("](CONTRIBUTING.md)", "](contributing.md)").replace("](README.md)", "](index.md)")
    )
    # files that are no pages have no place on the site
    return re.sub(r"\[([^\]]+)\]\((?:CITATION\.cff|LICENSE|examples/[^)]+|models/[^)]+|src/[^)]+|tests/[^)]+)\)", r"\1", text)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to sources into their names, and examples that begin with >>> into blocks of Python.

    The page of questions comes first where the search finds it: "out of memory" is otherwise a matter of outlines.
    """
    if page.file.src_uri == "questions.md":
        page.meta["search"] = {"boost": 4}
    markdown = re.sub(r"\[([^\]]+)\]\((?:\.\./)+(?:src|tests|models)/[^)]+\)", r"\1", markdown)
    markdown = re.sub(r"(?<=\n\n)((?:>>> .*\n)(?:.*\S.*\n)*)", r"```pycon\n\1```\n", _outside_blocks(markdown))
    return markdown.replace("\0", "")


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Let names in docstrings stand without the roles that other programs read, such as :func:."""
    html = re.sub(r":(?:func|class|meth|data|mod|attr|obj):(?=<code)", "", html)
    return re.sub(r"(<code[^>]*>)~[\w.]*?(\w+</code>)", r"\1\2", html)


def _outside_blocks(markdown: str) -> str:
    """Mark lines of blocks, so that what is looked for at a line's start is found outside of them only."""
    inside, lines = False, []
    for line in markdown.split("\n"):
        lines.append(f"\0{line}" if inside else line)
        if line.startswith("```"):
            inside = not inside
            lines[-1] = line
    return "\n".join(lines) + "\n"


def commands(group: App, before: str = "fullconv") -> Iterator[tuple[str, App]]:
    """Yield every command and its whole name."""
    for name in sorted(group.resolved_commands()):
        if not name.startswith("-"):
            command = group[name]
            if command.default_command is not None:
                yield f"{before} {name}", command
            yield from commands(command, f"{before} {name}")


def commands_page() -> str:
    """Return the reference of commands as Markdown."""
    lines = ["# Commands", "", "What `fullconv COMMAND --help` says, on one page.", ""]
    for name, command in commands(app):
        function = command.default_command
        assert function is not None
        parsed = docstring_parser.parse(function.__doc__ or "", docstring_parser.DocstringStyle.NUMPYDOC)
        lines += [f"## {name}", "", _text(parsed.short_description), "", _text(parsed.long_description), ""]
        lines += ["```sh", *examples_of(function), "```", ""]
        options = [entry for entry in command.assemble_argument_collection(parse_docstring=True) if entry.show]
        if options:
            lines += ["| option | what it says |", "|---|---|"]
            lines += [f"| {_names(option)} | {_cell(option.parameter.help or '')}{_default(option)} |" for option in options]
        lines.append("")
    return "\n".join(lines)


def recipes_page() -> str:
    """Return the reference of recipes as Markdown: a section for each group of keys, the keys in it named from there on."""
    lines = [
        *("# Keys of recipes", "", "A recipe is a YAML file. Every key can be changed for one run on the command line:", ""),
        *("```sh", "fullconv train photos.yaml --train.epochs 20 --data.augment.flip true", "```", ""),
        "`fullconv config` prints this list, and `fullconv config RECIPE` the values of a recipe. On the command line a key is",
        "written as its section, a dot and its name. `N` counts the entries of a list from 0.",
        "",
    ]
    sections: dict[str, list[Key]] = {}
    groups = {}
    for key in recipe_keys():
        if key.group and key.name.count(".") < 2:
            sections[key.name], groups[key.name] = [], key
        else:
            home = max((name for name in sections if key.name.startswith(f"{name}.")), key=len, default="")
            sections.setdefault(home, []).append(key)
    for name, keys in sections.items():
        title = [f"## {name}", "", groups[name].meaning] if name else ["## The recipe itself"]
        lines += ["", *title, "", "| key | accepts | default | meaning |", "|---|---|---|---|"]
        for key in keys:
            default = f"`{key.shown_default}`" if key.shown_default else ""
            cells = f"`{key.name.removeprefix(f'{name}.')}`", _cell(key.accepts), _cell(default), _cell(key.meaning)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def python_page() -> str:
    """Return the reference of public names as Markdown for mkdocstrings."""
    lines = ["# Python: all public names", "", "By task and with longer examples they stand on [another page](../python.md).", ""]
    for name in fullconv.__all__:
        if name == "__version__":
            continue
        home = next(where for where, names in fullconv._HOMES.items() if name in names)
        lines += [f"::: fullconv.{home}.{name}", ""]
    return "\n".join(lines)


def _text(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|").replace("<", "&lt;")


def _names(option: Any) -> str:
    """Return an option's names as code; an argument that is given by its place stands in capitals."""
    return ", ".join(f"`{name}`" for name in option.names)


def _default(option: Any) -> str:
    given = option.field_info.default
    return f" Default: `{given}`." if isinstance(given, str | int | float | Path) and not isinstance(given, bool) else ""
