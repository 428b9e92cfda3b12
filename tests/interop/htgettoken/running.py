"""Runs a site, and at its end searches for refresh tokens where none may be.

They are looked for in the clear, encoded, quoted and in parts.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from credbroker.telemetry.canaries import Canaries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.htgettoken.site import Site


@contextmanager
def running(site: Site) -> Iterator[Site]:
    """Run a site for a while; at the end no refresh token may have been where it should not be."""
    try:
        site.start()
        yield site
        assert_nothing_leaked(site)
    finally:
        site.close()


def assert_nothing_leaked(site: Site) -> None:
    """Return if no refresh token that the issuer ever gave was seen by anybody but the broker.

    Looked at are the files of clients and broker (its log and audit trail among them), what commands
    printed, what browsers were shown and sent to, and what OpenBao logs.
    """
    canaries = Canaries()
    for value in site.issuer.refresh_tokens:
        canaries.plant("refresh token", value)
    canaries.search_folder(site.folder)
    for log in (site.openbao.log_file, site.openbao.audit_file):
        canaries.search_text(str(log), log.read_bytes())
    for shell in site.people:
        canaries.search_text(f"what {shell.name} read", "".join(shell.heard).encode())
        for browser in shell.browsers:
            shown = [page.url + page.text for page in browser.pages] + browser.sent_to
            canaries.search_text(f"what {shell.name} browsed", "".join(shown).encode())
    canaries.assert_unseen()
