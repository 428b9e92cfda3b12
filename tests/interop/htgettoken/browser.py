"""A person at a browser without scripts: follows pages, fills in their forms, keeps cookies.

- What is sent is what the page's form says, and what a person types or ticks there.
- Every page seen is kept, for a search for what should be on none.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import (
    HTTPCookieProcessor,
    HTTPRedirectHandler,
    HTTPSHandler,
    ProxyHandler,
    Request,
    build_opener,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The broker's page; the issuer's sign-in and consent; and one more, should a code be asked there.
_MOST_FORMS = 5
_ANSWER_SECONDS = 20.0


class LoginFailedError(Exception):
    """A page came that a person who logs in does not expect."""


@dataclass(slots=True)
class Page:
    """One page: its address, status and text, and its first form if it has one."""

    url: str
    status: int
    text: str
    title: str = ""
    action: str | None = None
    fields: list[tuple[str, str]] = field(default_factory=list)


class Browser:
    """One person's browser.

    Attributes:
        pages: Every page that was shown, oldest first.
        sent_to: Every address that it was sent on to.
    """

    def __init__(self, ca_file: Path, typed: Mapping[str, str]) -> None:
        """Trust `ca_file`; `typed` is what the person types into empty fields of those names."""
        self.pages: list[Page] = []
        self.sent_to: list[str] = []
        self._typed = typed
        context = ssl.create_default_context(cafile=str(ca_file))
        self._open = build_opener(
            ProxyHandler({}),
            HTTPSHandler(context=context),
            HTTPCookieProcessor(CookieJar()),
            _Redirects(self.sent_to),
        ).open

    def log_in(self, url: str) -> Page:
        """Follow the forms from `url` to the page that has none, and return that one.

        Raises:
            LoginFailedError: A page was refused, or the forms did not end.
        """
        page = self.see(url)
        for _ in range(_MOST_FORMS):
            if page.status != 200:
                raise LoginFailedError(f"{page.status} at {page.url}: {page.title}")
            if page.action is None:
                return page
            page = self.submit(page)
        raise LoginFailedError(f"The login did not end; last page: {page.title}")

    def submit(self, page: Page) -> Page:
        """Fill in a page's form and send it."""
        assert page.action is not None, page.title
        filled = [(name, value or self._typed.get(name, "")) for name, value in page.fields]
        return self.see(page.action, urlencode(filled).encode())

    def see(self, url: str, form: bytes | None = None) -> Page:
        """Open an address, or send a form there, and return the page that came."""
        try:
            with self._open(url, form, _ANSWER_SECONDS) as answer:
                page = _read(answer.url, answer.status, answer.read().decode())
        except HTTPError as refused:
            with refused:
                page = _read(refused.url, refused.code, refused.read().decode())
        self.pages.append(page)
        return page


def _read(url: str, status: int, text: str) -> Page:
    reader = _FormReader(Page(url, status, text))
    reader.feed(text)
    reader.close()
    return reader.page


class _Redirects(HTTPRedirectHandler):
    """Follows redirects and notes them."""

    def __init__(self, noted: list[str]) -> None:
        self._noted = noted

    def redirect_request(self, *given: Any, **named: Any) -> Request | None:
        self._noted.append(str(given[-1]))
        return super().redirect_request(*given, **named)


class _FormReader(HTMLParser):
    """Takes in the title and the first form: its fields, the boxes ticked, its first button."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self._inside = ""
        self._forms = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "title":
            self._inside = tag
        elif tag == "form":
            self._forms += 1
            if self._forms == 1:
                self.page.action = urljoin(self.page.url, given.get("action", ""))
        elif self._forms == 1 and tag in {"input", "button"} and "name" in given:
            self._take(given)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "title":
            self.page.title += data

    def _take(self, given: dict[str, str]) -> None:
        known = {name for name, _ in self.page.fields}
        if given.get("type") == "checkbox" or given["name"] not in known:
            self.page.fields.append((given["name"], given.get("value", "")))
