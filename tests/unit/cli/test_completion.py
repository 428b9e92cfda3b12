"""`credbroker completion`: what it prints; `tests/integration/test_shells.py` has shells take it."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING

import pytest

from credbroker.cli import completion
from credbroker.domain.errors import LocalFileUnfit

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Table


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_each_shell_gets_its_own_text(table: Table, shell: str) -> None:
    """All of it, and nothing is said beside."""
    assert table.run(completion, shell) == 0
    text = table.answered()
    assert text.startswith(("#compdef credbroker", "# AUTOMATICALLY GENERATED"))
    assert "vault-setup" in text
    assert table.said() == ""


def test_another_shell_is_refused(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """With those that there are."""
    with pytest.raises(SystemExit):
        table.run(completion, "csh")
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err


def test_a_program_without_the_texts_says_so(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after somebody copied its modules alone."""

    def missing(*_: object) -> bytes:
        raise FileNotFoundError

    monkeypatch.setattr(pkgutil, "get_data", missing)
    with pytest.raises(LocalFileUnfit, match="without"):
        table.run(completion, "bash")
