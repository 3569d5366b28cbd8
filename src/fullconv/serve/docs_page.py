"""``/docs``: what OpenAPI says, as a page without scripts, which needs nothing from elsewhere."""

import base64
import functools
import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "code{font-family:ui-monospace,monospace}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;vertical-align:top;padding:.2rem .6rem;border-bottom:1px solid #8886}h2{margin-top:2.5rem}"
)
STYLE_HASH = f"'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
"""By which a browser knows that the style is the page's own."""
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ info.title }} {{ info.version }}: the service</title>
<style>{{ style }}</style>
</head>
<body>
<h1>{{ info.title }} {{ info.version }}</h1>
<p>{{ info.description }} For programs: <a href="/openapi.json">openapi.json</a>.</p>
{% for path, methods in paths.items() %}
{% for method, told in methods.items() %}
<h2><code>{{ method.upper() }} {{ path }}</code></h2>
<p>{{ told.description or told.summary }}</p>
{% if told.requestBody %}
<p>{{ told.requestBody.description }} Sent as
{% for kind in told.requestBody.content %}<code>{{ kind }}</code>{{ ", " if not loop.last }}{% endfor %}.</p>
{% endif %}
{% if told.parameters %}
<table>
<tr><th scope="col">parameter</th><th scope="col">values</th><th scope="col">meaning</th></tr>
{% for parameter in told.parameters %}
<tr><td><code>{{ parameter.name }}</code></td><td>{{ values(parameter.schema) }}</td>
<td>{{ parameter.description or parameter.schema.description or "" }}</td></tr>
{% endfor %}
</table>
{% endif %}
<table>
<tr><th scope="col">status</th><th scope="col">answer</th><th scope="col">meaning</th></tr>
{% for status, answer in told.responses.items() %}
<tr><td>{{ status }}</td><td>{{ answer.content.keys() | join(", ") }}</td><td>{{ answer.description }}</td></tr>
{% endfor %}
</table>
{% endfor %}
{% endfor %}
</body>
</html>
"""


def docs_page(openapi: dict[str, Any]) -> str:
    """Return the page, HTML."""
    return _page().render(info=openapi["info"], paths=openapi["paths"], style=STYLE, values=_values)


@functools.cache
def _page() -> "Template":
    from jinja2 import Environment  # late, as the service need not wait for it

    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_PAGE)


def _values(schema: dict[str, Any]) -> str:
    """Return in words what a parameter may be."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    kind = kinds[0] if kinds else {}
    found = ", ".join(map(str, kind["enum"])) if "enum" in kind else str(kind.get("type", ""))
    return f"{found}; {schema['default']} by default" if schema.get("default") is not None else found
