"""Keeps the links between the project's papers whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.house.project import Project

_CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(<?([^)\s>]+)|^\[[^\]]+\]:\s+<?([^\s>]+)", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|#", re.IGNORECASE)


def links_lead_somewhere(project: Project) -> Iterator[str]:
    """Every relative link in the Markdown files at the top and below `docs/` names a file."""
    for page in [*project.root.glob("*.md"), *sorted(project.root.glob("docs/**/*.md"))]:
        for line, link in _relative_links(page):
            if not (page.parent / unquote(link.partition("#")[0])).exists():
                yield f"{page.relative_to(project.root)}:{line}: {link} does not exist"


def _relative_links(page: Path) -> Iterator[tuple[int, str]]:
    text = _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), page.read_text(encoding="utf-8"))
    for found in _LINK.finditer(text):
        link = found[1] or found[2]
        if not _ELSEWHERE.match(link):
            yield text.count("\n", 0, found.start()) + 1, link
