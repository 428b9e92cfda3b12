"""The list of tokens: what it says, and which words name what is wrong in it."""

from __future__ import annotations

import grp
import pwd
import re
import signal
from pathlib import Path

import pytest

from credbroker.domain.errors import BadSettings
from credbroker.edge.list_file import read
from credbroker.edge.orders import Form, Hook

PAGE = Path(__file__).parents[3] / "docs" / "agent.md"
LEAST = "tokens:\n  a: {path: /run/a, lease: /etc/a.lease%s}\n"


def listed(folder: Path, text: str) -> Path:
    """Return a list with this text."""
    file = folder / "list.yaml"
    file.write_text(text)
    return file


def test_the_example_of_the_page_is_read_as_it_stands(tmp_path: Path) -> None:
    """Owners become numbers, paths their own, hooks what they say."""
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    tokens = read(listed(tmp_path, example))
    daemon = pwd.getpwnam("daemon")
    owner = (daemon.pw_uid, grp.getgrnam("daemon").gr_gid)
    rucio, gfal, htgettoken = tokens["rucio"], tokens["gfal"], tokens["htgettoken"]
    assert (rucio.place.owner, rucio.place.mode, rucio.place.form) == (owner, 0o640, Form.RAW)
    assert rucio.hook == Hook(("systemctl", "reload", "rucio-daemons"))
    assert (gfal.place.form, gfal.place.line_end, gfal.place.owner) == (Form.ENV, True, None)
    assert gfal.hook == Hook((), Path("/run/gfal.pid"), signal.SIGHUP)
    assert htgettoken.place.path == Path(f"/tmp/bt_u{owner[0]}")
    assert htgettoken.vault_token == Path(f"/tmp/vt_u{owner[0]}")


def test_every_key_of_an_entry_is_on_the_page() -> None:
    """And no other."""
    told = set(re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(), re.MULTILINE))
    names = {name for row in told for name in re.findall(r"`([a-z_.]+)`", row)}
    assert names == {
        "path", "lease", "scopes", "audiences", "form", "line_end", "owner", "group", "mode",
        "minimum_seconds", "longest_seconds", "hook.command", "hook.signal", "hook.pid_file",
        "vault_token",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "tokens: this key is missing"),
        ("tokens: {}\nx: 1\n", "x: this key is not known"),
        (LEAST % ", frm: env", r"tokens\.a\.frm: this key is not known"),
        ("tokens: {a: {path: /run/a}}", r"tokens\.a\.lease: this key is missing"),
        (LEAST % ", mode: 640", r"tokens\.a\.mode: Expected `str`"),
        (LEAST % ", mode: '7777'", r"tokens\.a\.mode: .*'0640'"),
        (LEAST % ", form: xml", r"tokens\.a\.form: Invalid enum value"),
        (LEAST % ", owner: nobody-at-all", r"tokens\.a\.owner: there is no user"),
        (LEAST % ", owner: root, group: none-such", r"tokens\.a\.group: there is no group"),
        (LEAST % ", group: root", r"tokens\.a\.group: this goes with an owner"),
        (LEAST % ", hook: {}", r"tokens\.a\.hook: this needs a command"),
        (LEAST % ", hook: {signal: HUP}", r"tokens\.a\.hook: .*go together"),
        (LEAST % ", hook: {signal: BOO, pid_file: /x}", r"hook\.signal: there is no such"),
        (LEAST % ", hook: {command: []}", r"tokens\.a\.hook\.command"),
        ("tokens: {a: {path: a, lease: /l}}", r"tokens\.a\.path: a must be the whole path"),
        ("tokens: {a: {path: '/r/{uid}', lease: /l}}", r"tokens\.a\.owner: a path with \{uid\}"),
        (LEAST % "}\n  b: {path: /run/a, lease: /l", r"tokens\.b\.path: .*path of a, too"),
        (LEAST % ", vault_token: /run/a", r"tokens\.a\.vault_token: .*path of a, too"),
        (
            LEAST % "}\n  b: {path: /run/b, vault_token: /run/a, lease: /l",
            r"tokens\.b\.vault_token: .*path of a, too",
        ),
        (
            "tokens: {a: {path: /run/../a, lease: /l}}",
            r"tokens\.a\.path: .* must be the whole path",
        ),
        ("tokens: {a: 1}", r"tokens\.a: Expected `object`"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    """And nothing of it is used."""
    file = listed(tmp_path, text)
    with pytest.raises(BadSettings, match=rf"^{re.escape(str(file))}: .*{words}"):
        read(file)
