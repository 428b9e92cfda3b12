"""How `make docs` makes pages for a browser of the Markdown that is read in the repository as well.

The pages know nothing of Sphinx: what belongs under what is told by the links of the pages in
`CHAPTERS`, so a page that none of them leads to is a warning, and a warning is an error. A link to a
page, or to a heading of one, must lead there; a link to another file of the project becomes a copy of it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.addnodes import pending_xref

from credbroker import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "credbroker"
author = "credbroker"
release = version = __version__

extensions = ["myst_parser"]
include_patterns = ["README.md", "CHANGELOG.md", "docs/**.md", "helm/credbroker/README.md"]
root_doc = "docs/index"
nitpicky = True
# GitHub makes an anchor of every heading.
myst_heading_anchors = 4
myst_links_external_new_tab = False

html_theme = "furo"
html_title = f"credbroker {__version__}"
html_extra_path = ["site"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_last_updated_fmt = None

# Where the links of a page are the table of contents, and which pages of them belong there.
CHAPTERS = {
    "docs/index": "",
    "docs/explanation": "docs/adr/",
    "docs/neighbours/index": "docs/neighbours/",
    "docs/operations": "docs/runbooks/",
}
_LINK = re.compile(r"\]\(([^)#:\s]+)\.md(?:#[^)]*)?\)")


def setup(app: Sphinx) -> None:
    """Have the table of contents made of the chapters' links."""
    app.connect("source-read", _add_contents)
    app.connect("doctree-read", _leave_folders)


def _add_contents(_app: Sphinx, page: str, text: list[str]) -> None:
    """Add a list of pages for each part of a chapter, under the part's heading; each page once."""
    if page not in CHAPTERS:
        return
    known = {page, root_doc}
    for part in re.split(r"^## ", text[0], flags=re.MULTILINE):
        listed = [one for one in _pages_below(page, part) if one not in known]
        known.update(listed)
        if listed:
            lines = "\n/".join([f":caption: {part.partition(chr(10))[0].lstrip('# ')}\n", *listed])
            text[0] += f"\n```{{toctree}}\n:hidden:\n{lines}\n```\n"


def _pages_below(page: str, part: str) -> list[str]:
    """Return the pages that a part of a chapter leads to, in its order."""
    folder = posixpath.dirname(page)
    linked = [posixpath.normpath(posixpath.join(folder, link)) for link in _LINK.findall(part)]
    return [one for one in dict.fromkeys(linked) if one.startswith(CHAPTERS[page])]


def _leave_folders(_app: Sphinx, page: Any) -> None:
    """Let a link to a folder, which only the repository's own pages can show, be plain words."""
    folder = Path(page["source"]).parent
    for link in list(page.findall(pending_xref)):
        if link["reftype"] == "myst" and (folder / link["reftarget"]).is_dir():
            link.replace_self(link.children)
