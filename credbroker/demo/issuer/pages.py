"""The pages a person sees: plain HTML that works without scripts. Pure text in, text out.

Everything that varies is escaped. No page holds a token, a device code or a secret.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem }}
input, button {{ font: inherit; padding: .3rem .6rem }}
label {{ display: block; margin: .4rem 0 }}
.problem {{ color: #a00 }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def code_page(csrf: str, user_code: str = "", problem: str = "") -> str:
    """Ask for the code another device shows; `user_code` fills the field in advance."""
    return _form(
        "Connect a device",
        "/device",
        csrf,
        f"""<label>Code shown by the device
<input name="user_code" value="{escape(user_code)}" required autocomplete="off"></label>
<button>Continue</button>""",
        problem,
    )


def sign_in_page(csrf: str, problem: str = "") -> str:
    """Ask who the person is."""
    return _form(
        "Sign in",
        "/sign-in",
        csrf,
        """<label>Name <input name="name" required autocomplete="username"></label>
<label>Password
<input name="password" type="password" required autocomplete="current-password"></label>
<button>Sign in</button>""",
        problem,
    )


def consent_page(csrf: str, person: str, client_id: str, scopes: Iterable[str]) -> str:
    """Ask the person to agree; each scope item can be left out."""
    boxes = "\n".join(
        f'<label><input type="checkbox" name="scope" value="{escape(item)}" checked>'
        f" {escape(item)}</label>"
        for item in scopes
    )
    return _form(
        "Do you agree?",
        "/consent",
        csrf,
        f"""<p>You are <strong>{escape(person)}</strong>.
<strong>{escape(client_id)}</strong> asks for:</p>
{boxes}
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Refuse</button>""",
    )


def notice_page(title: str, text: str) -> str:
    """Say one thing, with nothing left to do here."""
    return _FRAME.format(title=escape(title), body=f"<p>{escape(text)}</p>")


def _form(title: str, action: str, csrf: str, fields: str, problem: str = "") -> str:
    warning = f'<p class="problem" role="alert">{escape(problem)}</p>\n' if problem else ""
    body = f"""{warning}<form method="post" action="{action}">
<input type="hidden" name="csrf" value="{escape(csrf)}">
{fields}
</form>"""
    return _FRAME.format(title=escape(title), body=body)
