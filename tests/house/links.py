"""Keeps the links between the project's papers whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.house.project import Project

_CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(<?([^)\s>]+)|^\[[^\]]+\]:\s+<?([^\s>]+)", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|#", re.IGNORECASE)


def links_lead_somewhere(project: Project) -> Iterator[str]:
    """Every relative link in the Markdown files at the top and below `docs/` names a file."""
    for page, line, link in _links(project):
        path = page.parent / unquote(link.partition("#")[0])
        if not (_ELSEWHERE.match(link) or path.exists()):
            yield f"{page.relative_to(project.root)}:{line}: {link} does not exist"


def links_elsewhere_are_whole(project: Project) -> Iterator[str]:
    """Every link to another place is an https address with a host; whether it answers is not asked."""
    for page, line, link in _links(project):
        if _ELSEWHERE.match(link) and not link.startswith("#"):
            address = urlsplit(link)
            if address.scheme != "https" or "." not in (address.hostname or ""):
                yield f"{page.relative_to(project.root)}:{line}: {link} is no https address"


def _links(project: Project) -> Iterator[tuple[Path, int, str]]:
    for page in [*project.root.glob("*.md"), *sorted(project.root.glob("docs/**/*.md"))]:
        text = page.read_text(encoding="utf-8")
        text = _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)
        for found in _LINK.finditer(text):
            yield page, text.count("\n", 0, found.start()) + 1, found[1] or found[2]
