"""The one environment that all pages are made in: its filters, and what every page begins with."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from cardproof.pages.formats import number
from cardproof.pages.tables import escape_markdown, markdown_table, one_line

_FOLDER = Path(__file__).parent / "templates"


def make_environment(folder: Path = _FOLDER) -> Environment:
    """The environment of a folder of templates: HTML is escaped, a missing name is an error."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "markdown": markdown_table,
        "escape_markdown": escape_markdown,
        "one_line": one_line,
        "place": lambda percent: f"{percent:.2f}%",
        "code": _code,
        "breakable": _breakable,
    }
    return environment


def render(template: str, **context: Any) -> str:
    """A page from one of this package's templates."""
    script = (_FOLDER / "sort.js").read_text(encoding="utf-8")
    environment = make_environment()
    environment.globals |= {"script": Markup(script), "policy": _policy(script)}
    return environment.get_template(template).render(**context)


def _policy(script: str) -> str:
    """What a browser lets a page do: run this one script, and ask nothing of anyone."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _code(text: str) -> Markup:
    """Escaped text with what stands between backquotes as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _breakable(text: str) -> Markup:
    """Escaped text whose dotted keys may break after a point or an equals sign."""
    return Markup(re.sub(r"([.=])", r"\1<wbr>", str(escape(text))))
