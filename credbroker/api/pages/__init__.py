"""The pages that a person sees: plain HTML from templates beside this file, without scripts.

Everything that varies is escaped. No page holds a token, and none may be framed, stored, or named to
the site that it leads to.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from credbroker.api.pages import words

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


def page(template: str, *, status: int = 200, **shown: object) -> web.Response:
    """Return a page made from `template` (without `.html`), which shows these values."""
    text = _templates().get_template(f"{template}.html").render(shown)
    return web.Response(status=status, text=text, content_type="text/html", headers=_HEADERS)


def notice(title: str, text: str, remedy: str = "", *, status: int = 200) -> web.Response:
    """Return a page that says one thing, and what to do about it."""
    return page("notice", status=status, title=title, text=text, remedy=remedy)


def onward(address: str) -> web.Response:
    """Return an answer that sends the browser on (RFC 9110 section 15.4.4)."""
    return web.Response(status=303, headers={**_HEADERS, "Location": address})


def style() -> web.Response:
    """Return the one style sheet of all pages."""
    return web.Response(text=_style(), content_type="text/css", headers=_HEADERS)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("credbroker.api", "pages"), autoescape=True, undefined=StrictUndefined
    )
    made.filters |= {
        "rights": words.rights_in_words,
        "state": words.state_in_words,
        "purpose": words.purpose_in_words,
    }
    return made


@cache
def _style() -> str:
    return files(__name__).joinpath("style.css").read_text(encoding="utf-8")
