"""A web page of text, tables and pictures in one folder, that opens without a server; its look is ``templates/page.html``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fullconv.files import replacing


@dataclass
class Page:
    """A page that is filled from top to bottom and then written; whatever is added is text, never markup.

    Examples
    --------
    >>> page = Page("Results")
    >>> page.text("Two < three.")
    >>> page.table(("net", "mean IU"), [("FCN-8s", "62.7")])
    >>> "Two &lt; three." in page.html()
    True
    """

    title: str
    parts: list[tuple[str, Any]] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """Add a heading."""
        self.parts.append(("heading", text))

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self.parts.append(("text", text))

    def code(self, text: str) -> None:
        """Add lines as they are."""
        self.parts.append(("code", text))

    def picture(self, name: str, caption: str) -> None:
        """Add a picture by its path relative to the page; a click on it opens it in its full size."""
        self.parts.append(("picture", {"name": name, "caption": caption}))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table; the first column is text, the others are numbers."""
        self.parts.append(("table", {"header": header, "rows": rows}))

    def html(self) -> str:
        """Return the page."""
        environment = Environment(
            loader=PackageLoader("fullconv.evaluation"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
            keep_trailing_newline=True,
        )
        return environment.get_template("page.html").render(title=self.title, parts=self.parts)

    def write(self, path: Path) -> None:
        """Write the page to ``path``, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(self.html(), encoding="utf-8", errors="backslashreplace")  # names of files need not be text
