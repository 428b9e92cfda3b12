"""The settings of HTCondor as the page for access points shows them, for fakes of its tools.

Only what that page uses of the configuration language is understood: comments, `NAME = value`,
`$(NAME)`, and `use feature:OAUTH`, which stands for what HTCondor has it stand for.
"""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "htcondor.md"
FEATURE_OAUTH = {
    "DAEMON_LIST": "MASTER, COLLECTOR, NEGOTIATOR, SCHEDD, CREDD, CREDMON_OAUTH",
    "SEC_CREDENTIAL_DIRECTORY_OAUTH": "/var/lib/condor/oauth_credentials",
    "TRUST_CREDENTIAL_DIRECTORY": "True",
}
"""What `use feature:OAUTH` sets, as far as credbroker looks at it."""

_FENCED = re.compile(
    r"^```text\n(# /etc/condor/config\.d/(\S+)\n.*?)^```$", re.DOTALL | re.MULTILINE
)
_SETTING = re.compile(r"(\w+)\s*=\s*(.*?)\s*\Z")
_NAMED = re.compile(r"\$\((\w+)\)")


def shown(file: str = "50-credbroker.conf", page: Path = PAGE) -> str:
    """Return the file of settings that the page shows under this name."""
    (found,) = [text for text, name in _FENCED.findall(page.read_text("utf-8")) if name == file]
    return str(found)


def settings(text: str) -> dict[str, str]:
    """Return what a file of settings says, by names in upper case; fail on what is not understood."""
    said: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.split() == ["use", "feature:OAUTH"]:
            said |= FEATURE_OAUTH
            continue
        setting = _SETTING.match(line)
        assert setting is not None, line
        said[setting[1].upper()] = _expanded(setting[2], said)
    return said


def _expanded(value: str, said: dict[str, str]) -> str:
    return _NAMED.sub(lambda named: said.get(named[1].upper(), ""), value)


def condor_settings(**changes: str | None) -> dict[str, str]:
    """Return the settings that the page shows for an access point; None takes one away."""
    said: dict[str, str | None] = {**settings(shown()), **changes}
    return {name: value for name, value in said.items() if value is not None}
