"""A web page of text, tables and pictures in one folder, that opens without a server."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fullconv.files import replacing

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
img { max-width: 100%; height: auto; } figure { margin: 1.5rem 0; } figcaption, .note { color: #555; font-size: 0.9rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: 0.3rem 0.8rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; } pre { background: #f4f4f4; padding: 0.8rem; overflow-x: auto; }
"""


@dataclass
class Page:
    """A page that is filled from top to bottom and then written.

    Examples
    --------
    >>> page = Page("Results")
    >>> page.text("Two < three.")
    >>> page.table(("net", "mean IU"), [("FCN-8s", "62.7")])
    >>> "Two &lt; three." in page.html()
    True
    """

    title: str
    parts: list[str] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """Add a heading."""
        self.parts.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self.parts.append(f"<p>{html.escape(text)}</p>")

    def code(self, text: str) -> None:
        """Add lines as they are."""
        self.parts.append(f"<pre>{html.escape(text)}</pre>")

    def picture(self, name: str, caption: str) -> None:
        """Add a picture by its path relative to the page; a click on it opens it in its full size."""
        source, below = html.escape(name, quote=True), html.escape(caption)
        self.parts.append(f'<figure><a href="{source}"><img src="{source}" alt=""></a><figcaption>{below}</figcaption></figure>')

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table; the first column is text, the others are numbers."""
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        self.parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")

    def html(self) -> str:
        """Return the page."""
        title = html.escape(self.title)
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
            f"<body><h1>{title}</h1>{''.join(self.parts)}</body></html>\n"
        )

    def write(self, path: Path) -> None:
        """Write the page to ``path``, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(self.html(), encoding="utf-8", errors="backslashreplace")  # names of files need not be text
