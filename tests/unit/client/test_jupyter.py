"""In a notebook: how a login is shown, what is left of it, and what a token shows of itself."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.error import UsageError

from credbroker.cli.desk import Desk
from credbroker.client import jupyter
from credbroker.client.holding import Wish
from credbroker.delivery import lease_file
from credbroker.domain.errors import LocalFileUnfit, LoginDenied, LoginExpired
from credbroker.wire.native import StartLogin
from tests.fakes.broker import FakeBroker
from tests.fakes.entropy import FakeEntropy
from tests.fakes.step_clock import StepClock
from tests.unit.client.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

URL = "https://broker.example.org:8200"


@dataclass
class Output:
    """One thing that is displayed, as it changes."""

    shown: list[dict[str, str]] = field(default_factory=list)

    def display(self, bundle: dict[str, str], *, raw: bool) -> None:
        """Show this first."""
        assert not self.shown
        self.update(bundle, raw=raw)

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        """Show something else in its place."""
        assert raw
        self.shown.append(bundle)

    @property
    def texts(self) -> list[str]:
        """Return what it showed, as text."""
        return [one["text/plain"] for one in self.shown]


class Shell:
    """As much of a notebook as the magics need, with a person and a broker."""

    def __init__(self, folder: Path) -> None:
        self.clock = StepClock()
        self.broker = FakeBroker(self.clock)
        self.environ = {"XDG_STATE_HOME": str(folder), "CREDBROKER_URL": URL}
        self.outputs: list[Output] = []
        self.magics: dict[str, Callable[[str], Any]] = {}
        self.magics_manager = self
        jupyter.load_ipython_extension(self)  # type: ignore[arg-type] # it needs no more of it

    def register_function(self, magic: Callable[[str], Any]) -> None:
        """Take a magic in, as IPython's own magics_manager does."""
        self.magics[magic.__name__] = magic

    def new_output(self) -> Output:
        """Make room for one thing to be displayed."""
        self.outputs.append(Output())
        return self.outputs[-1]

    def desk(self) -> Desk:
        """Return what the commands work with."""
        nothing = io.StringIO()
        return Desk(
            self.clock, FakeEntropy(), self.environ, 7, nothing, nothing,
            open_door=lambda *_: self.broker,
        )  # fmt: skip

    def log_in(self) -> None:
        """Log in at the broker's issuer."""
        jupyter.log_in(StartLogin("cms", "default"), self.desk(), URL, None)

    @property
    def leases(self) -> list[Path]:
        """Return the lease files that are kept."""
        return lease_file.person_paths(self.environ)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """A world where this program's tokens come from the test."""
    service = Service()
    monkeypatch.setattr("credbroker.client.fresh.holding", lambda: service.holding)
    monkeypatch.setattr(jupyter, "holding", lambda: service.holding)
    return service


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: Service) -> Shell:
    """A notebook into which the magics were loaded."""
    shell = Shell(tmp_path)
    monkeypatch.setattr(jupyter, "DisplayHandle", shell.new_output)
    monkeypatch.setattr(jupyter, "system_desk", shell.desk)
    return shell


def test_link_code_and_qr_code_are_shown_before_the_first_wait(shell: Shell) -> None:
    """As a page, and as text for notebooks that show no more than that."""
    shown: list[dict[str, str]] = []
    shell.clock.after(0, lambda: shown.extend(one.shown[-1] for one in shell.outputs))
    shell.log_in()
    page, waiting = shown
    address = "https://issuer.example.org/device?user_code=ABCD-EFGH"
    assert f'<a href="{address}" target="_blank"' in page["text/html"]
    assert "<code>ABCD-EFGH</code>" in page["text/html"]
    assert "<svg" in page["text/html"]
    assert f"    {address}\n" in page["text/plain"]
    assert "    ABCD-EFGH\n" in page["text/plain"]
    assert waiting["text/plain"] == "Waiting for you, 10 min left …"


def test_the_countdown_goes_by_the_second_and_the_page_stays_as_it_is(shell: Shell) -> None:
    """So that the code can be marked and copied meanwhile."""
    shell.broker.approved = False
    shell.clock.after(3, lambda: setattr(shell.broker, "approved", True))
    shell.log_in()
    page, line = shell.outputs
    assert line.texts[:4] == [
        "",
        "Waiting for you, 10 min left …",
        "Waiting for you, 9 min 59 s left …",
        "Waiting for you, 9 min 58 s left …",
    ]
    assert len(page.shown) == 2


def test_after_the_login_only_its_outcome_is_left(shell: Shell) -> None:
    """A saved notebook holds neither the code nor the lease."""
    shell.log_in()
    page, line = shell.outputs
    assert page.texts[-1] == (
        "Logged in to cms as alice in the role default until 2026-06-28 12:00 UTC."
    )
    assert page.shown[-1]["text/html"] == f"<p>{page.texts[-1]}</p>"
    assert line.shown[-1] == {"text/html": "", "text/plain": ""}
    (path,) = shell.leases
    lease = lease_file.read(path)
    assert (lease.broker, lease.credkey) == (URL, "alice")
    assert lease.lease_token.reveal() not in str(shell.outputs)


def test_an_interrupt_while_it_is_displayed_takes_the_code_away(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the wait has begun."""
    display = Output.display

    def stopped(output: Output, bundle: dict[str, str], *, raw: bool) -> None:
        display(output, bundle, raw=raw)
        raise KeyboardInterrupt

    monkeypatch.setattr(Output, "display", stopped)
    with pytest.raises(KeyboardInterrupt):
        shell.log_in()
    assert "ABCD" not in shell.outputs[0].shown[-1]["text/html"]


def test_an_interrupt_leaves_nothing(shell: Shell) -> None:
    """No lease, and no code on the page."""

    def stop() -> None:
        raise KeyboardInterrupt

    shell.clock.after(0, stop)
    with pytest.raises(KeyboardInterrupt):
        shell.log_in()
    page, line = shell.outputs
    assert page.texts[-1] == "The login was broken off; nothing was kept."
    assert line.texts[-1] == ""
    assert not shell.leases


@pytest.mark.parametrize(
    ("state", "error", "outcome"),
    [
        ("denied", LoginDenied, "The person said no."),
        ("nobody", LoginExpired, "Nobody confirmed the login in time."),
    ],
)
def test_what_became_of_a_login_that_failed_is_shown(
    shell: Shell, state: str, error: type[Exception], outcome: str
) -> None:
    """In place of the code; nothing is kept."""
    shell.broker.denied, shell.broker.approved = state == "denied", False
    with pytest.raises(error):
        shell.log_in()
    assert shell.outputs[0].texts[-1] == outcome
    assert not shell.leases


def test_where_no_lease_can_be_kept_no_login_is_begun(shell: Shell, tmp_path: Path) -> None:
    """Nobody confirms one in vain."""
    shell.environ["XDG_STATE_HOME"] = str(tmp_path / "file")
    (tmp_path / "file").touch()
    with pytest.raises(LocalFileUnfit):
        shell.log_in()
    assert not shell.broker.requests
    assert not shell.outputs


def test_what_a_broker_says_cannot_run_in_the_notebook(shell: Shell) -> None:
    """Neither as HTML nor as a link that is a script."""
    shell.broker.page = 'javascript:alert("<script>")//'
    shown: list[dict[str, str]] = []
    shell.clock.after(0, lambda: shown.append(shell.outputs[0].shown[0]))
    shell.log_in()
    assert "<a " not in shown[0]["text/html"]
    assert "<script>" not in shown[0]["text/html"]


def test_the_login_magic_takes_the_commands_words(shell: Shell, service: Service) -> None:
    """The issuer is found if there is only one; tokens of whoever was logged in before are let go."""
    before = service.holding.fresh(Wish())
    assert shell.magics["credbroker_login"]("--role production") is None
    (path,) = shell.leases
    assert path.stem == "cms+production"
    assert service.holding.fresh(Wish()) is not before


def test_the_token_magic_gives_a_token_that_shows_no_secret(shell: Shell, service: Service) -> None:
    """What a cell displays is saved."""
    token = shell.magics["credbroker_token"]("cms --scope storage.read:/ --minimum 10m")
    assert service.taken == [Wish(issuer="cms", scopes=("storage.read:/",), minimum_seconds=600)]
    assert token.value.reveal().count(".") == 2
    assert token.value.reveal() not in repr(token)


@pytest.mark.parametrize(
    ("magic", "line", "told"),
    [
        ("credbroker_login", "atlas", "There is no issuer atlas|The broker has no issuer atlas"),
        ("credbroker_token", "--minimum soon", "invalid duration value: 'soon'"),
        ("credbroker_token", "--scopes a", "usage: %credbroker_token"),
        ("credbroker_token", "'cms", "a quotation mark is not closed"),
    ],
)
def test_what_is_wrong_is_one_message(shell: Shell, magic: str, line: str, told: str) -> None:
    """IPython shows it without a trace, and goes no further."""
    with pytest.raises(UsageError, match=told):
        shell.magics[magic](line)


def test_who_is_not_logged_in_is_told_the_magic(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not the command."""
    monkeypatch.undo()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"Log in with: %credbroker_login nowhere$"):
        shell.magics["credbroker_token"]("nowhere")
