"""What the pages say."""

from __future__ import annotations

from credbroker.demo.issuer import pages

NASTY = '"><script>alert(1)</script>'


def test_nothing_typed_or_configured_reaches_a_page_unescaped() -> None:
    """Codes, names, client ids, scopes and notices alike."""
    shown = [
        pages.code_page("csrf", NASTY, NASTY),
        pages.sign_in_page("csrf", NASTY),
        pages.consent_page("csrf", NASTY, NASTY, [NASTY]),
        pages.notice_page(NASTY, NASTY),
    ]
    assert all("<script>" not in page for page in shown)
    assert all("&lt;script&gt;" in page for page in shown)


def test_every_form_carries_the_csrf_value() -> None:
    """Once, and no page runs scripts."""
    forms = [
        pages.code_page("v-1"),
        pages.sign_in_page("v-1"),
        pages.consent_page("v-1", "alice", "broker", ["openid"]),
    ]
    assert all(page.count('name="csrf" value="v-1"') == 1 for page in forms)
    assert all("<script" not in page for page in forms)
