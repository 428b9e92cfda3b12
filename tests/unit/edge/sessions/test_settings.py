"""The settings of a host's agent: few, and wrong ones are named."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from credbroker.domain.errors import BadSettings
from credbroker.edge.sessions.settings import SessionsSettings, load


def written(folder: Path, text: str) -> Path:
    """Write a settings file."""
    file = folder / "sessions.yaml"
    file.write_text(text)
    return file


def test_the_broker_is_all_that_must_be_said(tmp_path: Path) -> None:
    """The rest is where systemd's unit makes it."""
    settings = load(written(tmp_path, "broker: https://broker.example.org:8200\n"))
    assert settings.broker == "https://broker.example.org:8200"
    assert settings.certificate is None
    assert settings.state_folder == Path("/var/lib/credbroker-sessions")
    assert settings.socket == Path("/run/credbroker/agent.sock")
    assert settings.sessions_folder == Path("/run/user")


def test_a_certificate_has_two_files(tmp_path: Path) -> None:
    """With its chain, and the key."""
    text = "broker: https://b.example.org\ncertificate: {certificate_file: /c, key_file: /k}\n"
    certificate = load(written(tmp_path, text)).certificate
    assert certificate is not None
    assert (certificate.certificate_file, certificate.key_file) == (Path("/c"), Path("/k"))


def test_the_page_shows_settings_that_load_and_every_key(tmp_path: Path) -> None:
    """With the defaults that there are."""
    page = (Path(__file__).parents[4] / "docs" / "sessions.md").read_text("utf-8")
    example = page.partition("```text\n# /etc/credbroker/sessions.yaml\n")[2].partition("```")[0]
    shown = load(written(tmp_path, example))
    assert shown.broker == "https://broker.example.org:8200"
    for field in msgspec.structs.fields(SessionsSettings):
        assert f"`{field.name}" in page
        if isinstance(field.default, (Path, float)):
            assert f"| `{field.name}` | `{str(field.default).removesuffix('.0')}` |" in page


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{}", "broker"),
        ("broker: https://b.example.org\nbrocker: x\n", "brocker"),
        ("broker: http://b.example.org\n", "broker: Plain http"),
        ("broker: https://b.example.org\nsocket: agent.sock\n", r"absolute path.*\$\.socket"),
        ("broker: https://b.example.org\nlook_seconds: 0\n", "look_seconds"),
        ("broker: [\n", "line"),
    ],
)
def test_a_wrong_file_is_named_with_the_key(tmp_path: Path, text: str, what: str) -> None:
    """So that the operator finds the line."""
    file = written(tmp_path, text)
    with pytest.raises(BadSettings, match=rf"{file}.*{what}"):
        load(file)
