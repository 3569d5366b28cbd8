"""The site holds together: links lead somewhere, pages are in the navigation, pictures are small and used."""

import importlib
import json
import re
from pathlib import Path

import pytest
import yaml

import fullconv
from fullconv.spec.reference import recipe_keys

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\]\(([^()\s]+(?:\([^()]*\))?[^()\s]*)\)")
MADE = {"index.md", "contributing.md", "reference/python.md", "reference/commands.md", "reference/recipes.md"}
"""Pages that docs/make/site_pages.py makes."""


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings as Markdown's usual slugs."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", re.sub(r"[`*]", "", title)).strip().lower() for title in titles)
    return {re.sub(r"[\s]+", "-", title) for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def navigation(place: object) -> list[str]:
    if isinstance(place, str):
        return [place]
    inside = place.values() if isinstance(place, dict) else place
    assert isinstance(inside, list) or hasattr(inside, "__iter__")
    return [page for entry in inside for page in navigation(entry)]


def test_every_page_is_in_the_navigation_once() -> None:
    text = re.sub(r"!!python\S*", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = navigation(yaml.safe_load(text)["nav"])
    hooks = (DOCS / "make" / "site_pages.py").read_text(encoding="utf-8")
    listed += [name for name in re.findall(r'"([\w-]+\.md)": "', hooks) if (DOCS / name).is_file()]
    assert sorted(listed) == sorted({str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} | MADE)


def test_pictures_are_small_used_and_described() -> None:
    pictures = {path.name: path.stat().st_size for path in (DOCS / "pictures").iterdir()}
    assert max(pictures.values()) <= 150_000
    used = [match for page in PAGES for match in re.findall(r"!\[([^\]]*)\]\((?:\.\./|docs/)?pictures/([^)]+)\)", prose(page))]
    assert {name for _, name in used} == set(pictures)
    assert all(len(text) > 20 for text, _ in used)


def test_the_citation_names_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (stated,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited["version"] == stated
    assert cited["license"] in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert fullconv.__version__


def test_references_hold_every_command_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS / "make")
    site = importlib.import_module("site_pages")
    commands = site.commands_page()
    for name in ("train", "data check", "runs compare", "predict"):
        assert f"\n## fullconv {name}\n" in commands
    assert "| `--overlay` | Also draw the labels over the image" in commands
    sections = re.split(r"^## ", site.recipes_page(), flags=re.MULTILINE)[1:]
    rows = [
        (section.partition("\n")[0], key)
        for section in sections
        for key in re.findall(r"^\| `([\w.]+)` \|", section, re.MULTILINE)
    ]
    found = {key if section == "The recipe itself" else f"{section}.{key}" for section, key in rows}
    assert found == {key.name for key in recipe_keys()} - {section.partition("\n")[0] for section in sections}


@pytest.mark.parametrize("notebook", sorted((ROOT / "examples" / "notebook").glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_stored_without_results_and_compile(notebook: Path) -> None:
    """`make docs` executes them."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"]) <= 20
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            compile("".join(cell["source"]), notebook.name, "exec")


def test_questions_of_practitioners_are_answered_on_one_page() -> None:
    text = (DOCS / "questions.md").read_text(encoding="utf-8")
    questions = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    for words in (
        *("all black", "imbalanced", "different sizes", "continue training", "C++"),
        *("stride", "0 and 255", "Out of memory", "no GPU", "commercially"),
    ):
        (answer,) = [question for question in questions if words in question.partition("\n")[0]]
        assert LINK.search(answer), words
