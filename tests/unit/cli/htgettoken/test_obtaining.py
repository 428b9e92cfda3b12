"""What htgettoken does, step by step: which way is gone, what is asked, what is put down, and what not."""

from __future__ import annotations

import fcntl
import json
import os
from urllib.parse import parse_qs, urlsplit

import pytest

from credbroker.cli.htgettoken.command import read
from credbroker.cli.htgettoken.obtaining import bearer_url, obtain
from credbroker.client import tickets
from credbroker.domain.errors import (
    BrokerUnreachable,
    LeaseUnknown,
    LocalFileUnfit,
    LoginNeeded,
    Malformed,
    NotAllowed,
)
from tests.fakes.htvault import (
    NEW_VAULT_TOKEN,
    REFRESH_TOKEN,
    SHORTER_VAULT_TOKEN,
    WEEK,
    answer,
    bearer,
    by_browser,
    login,
    refusal,
)
from tests.fakes.running_agent import running_agent
from tests.fakes.ssh_agent import ed25519_key
from tests.unit.cli.htgettoken.conftest import AUTH_URL, CREATE, CREDS, POLL, STS, Person

NO_LOGIN = ("--nokerberos", "--nossh", "--nooidc")
BY_BROWSER = ("--nokerberos", "--nossh")


def run(person: Person, *more: str) -> str | None:
    """Type htgettoken; return the bearer token that came."""
    desk = person.desk()
    token = obtain(read([*person.words, *more], desk, person.reach), desk, person.reach)
    return None if token is None else token.reveal()


def query(person: Person) -> dict[str, list[str]]:
    """Return what was asked last, as a query."""
    return parse_qs(urlsplit(person.server.asked[-1].target).query, keep_blank_values=True)


def test_a_first_login_puts_both_tokens_down_and_learns_whose_it_is(person: Person) -> None:
    """What the login gave is handed back to the server as it came, and is shown to nobody."""
    person.sits_at_a_terminal()
    token = run(person, *BY_BROWSER, "-d")
    assert person.bearer_file.read_text() == f"{token}\n"
    assert person.vault_file.read_text() == f"{NEW_VAULT_TOKEN}\n"
    assert (person.folder / ".config/htgettoken/credkey-cms-default").read_text() == "ada\n"
    posts = [one for one in person.server.asked if CREDS in one.target and one.method == "POST"]
    assert [json.loads(one.body) for one in posts] == [
        {"server": "cms", "refresh_token": REFRESH_TOKEN}
    ]
    seen = person.out.getvalue() + person.err.getvalue()
    for secret in (token, NEW_VAULT_TOKEN, REFRESH_TOKEN):
        assert str(secret) not in seen
    assert person.out.getvalue() == ""


def test_a_kept_vault_token_is_enough(person: Person) -> None:
    """One request, and nothing is written but the token."""
    person.has_logged_in()
    assert run(person, *NO_LOGIN, "--minsecs=90")
    assert [one.method for one in person.server.asked] == ["GET"]
    assert person.server.asked[0].headers["X-Vault-Token"] == "hvs.kept"
    assert query(person) == {"minimum_seconds": ["90"]}
    assert person.vault_file.read_text() == "hvs.kept\n"


@pytest.mark.parametrize("word", ["--scopes", "--audience"])
@pytest.mark.parametrize("value", ["a b,c", ""])
def test_narrowing_reads_elsewhere_and_word_for_word(person: Person, word: str, value: str) -> None:
    """Also if what is asked for is empty."""
    person.has_logged_in()
    run(person, *NO_LOGIN, f"{word}={value}")
    assert STS in person.server.asked[-1].target
    assert query(person)["scopes" if word == "--scopes" else "audiences"] == [value]


def test_a_vault_token_that_is_refused_leads_to_a_login(person: Person) -> None:
    """And is replaced; where nobody may log in, the refusal is the answer and all files stay."""
    person.has_logged_in()
    person.bearer_file.write_text("old")
    person.server.plan(CREDS, refusal(403, "permission denied"))
    with pytest.raises(LeaseUnknown, match="permission denied"):
        run(person, *NO_LOGIN)
    assert person.vault_file.read_text() == "hvs.kept\n"
    assert person.bearer_file.read_text() == "old"
    good = bearer(person.token())
    person.server.plan(CREDS, refusal(403, "permission denied"), answer(status=204), good)
    person.sits_at_a_terminal()
    assert run(person, *BY_BROWSER)
    assert person.vault_file.read_text() == f"{NEW_VAULT_TOKEN}\n"


@pytest.mark.parametrize("away", [BrokerUnreachable("Away."), refusal(429, "quota"), refusal(503)])
def test_a_server_that_is_away_sends_nobody_to_a_browser(person: Person, away: Exception) -> None:
    """No login would help, and the token that is kept stays."""
    person.has_logged_in()
    person.sits_at_a_terminal()
    person.server.plan(CREDS, away)
    with pytest.raises(Exception, match=r"Away|429|503"):
        run(person)
    assert person.server.count(AUTH_URL) == 0
    assert person.vault_file.exists()


def test_in_the_background_nobody_is_asked(person: Person) -> None:
    """There is no terminal at any of the three streams."""
    with pytest.raises(LoginNeeded, match="Failure getting token"):
        run(person, "-v")
    assert person.server.asked == []
    assert "running in the background" in person.err.getvalue()


def test_a_login_that_lasts_too_long_is_exchanged(person: Person) -> None:
    """What is kept on disk lasts a week, and cannot register keys."""
    person.sits_at_a_terminal()
    lasting = by_browser(lease_duration=4 * WEEK, policies=["sshregister-cms", "oidc", "tokenops"])
    person.server.plan(POLL, lasting)
    person.server.plan(CREATE, login(client_token=SHORTER_VAULT_TOKEN))
    run(person, *BY_BROWSER)
    assert person.server.body(CREATE) == {
        "ttl": f"{WEEK}s",
        "renewable": "false",
        "policies": ["oidc", "tokenops"],
    }
    assert person.vault_file.read_text() == f"{SHORTER_VAULT_TOKEN}\n"


@pytest.mark.parametrize("lasts", [None, 4 * WEEK])
def test_without_a_right_to_give_up_the_policies_stay(person: Person, lasts: int | None) -> None:
    """Also where the server does not say how long the login lasts."""
    person.sits_at_a_terminal()
    person.server.plan(POLL, by_browser(lease_duration=lasts, policies=None))
    person.server.plan(CREATE, login(client_token=SHORTER_VAULT_TOKEN))
    run(person, *BY_BROWSER)
    assert person.server.body(CREATE) == {"ttl": f"{WEEK}s", "renewable": "false"}


def test_the_vault_token_is_printed_before_the_bearer_token_and_the_address(
    person: Person,
) -> None:
    """As readers of a pipe have always seen them."""
    person.sits_at_a_terminal()
    words = ("--vaulttokenfile=/dev/stdout", "--vaulttokenttl=28d", "-o", "/dev/stdout")
    person.server.plan(POLL, by_browser(lease_duration=4 * WEEK))
    token = run(person, *BY_BROWSER, *words, "--showbearerurl")
    url = "https://vault.example.org:8200/v1/secret/oauth/creds/cms/ada:default"
    assert person.out.getvalue() == f"{NEW_VAULT_TOKEN}\n{token}\n{url}\n"


def test_a_vault_token_that_is_handed_over_is_exchanged_first(person: Person) -> None:
    """The shorter one is kept, and is what tokens are read with."""
    person.inp.write("hvs.handed-over\n")
    person.inp.seek(0)
    person.server.plan(CREATE, login(client_token=SHORTER_VAULT_TOKEN))
    run(person, *NO_LOGIN, "--credkey=ada", "--vaulttokeninfile=/dev/stdin")
    assert person.server.asked[0].headers["X-Vault-Token"] == "hvs.handed-over"
    assert person.server.asked[1].headers["X-Vault-Token"] == SHORTER_VAULT_TOKEN
    assert person.vault_file.read_text() == f"{SHORTER_VAULT_TOKEN}\n"


@pytest.mark.parametrize(("left", "reads"), [(2 * 86400, 1), (2 * 86400 - 1, 0)])
def test_a_kept_vault_token_must_last_as_long_as_is_said(
    person: Person, left: int, reads: int
) -> None:
    """One that does not is passed over."""
    person.has_logged_in()
    person.server.plan("lookup-self", answer({"data": {"ttl": left}}))
    words = (*NO_LOGIN, "-v", "--vaulttokenminttl=2d")
    if reads:
        run(person, *words)
    else:
        with pytest.raises(LoginNeeded):
            run(person, *words)
    assert person.server.count(CREDS) == reads
    assert f"  {left} seconds remaining" in person.err.getvalue()


def test_without_a_bearer_token_a_new_vault_token_is_got_each_time(person: Person) -> None:
    """Nothing is read, nothing stored at the server, and no credkey learned."""
    person.vault_file.write_text("hvs.kept\n")
    person.sits_at_a_terminal()
    assert run(person, *BY_BROWSER, "--nobearertoken") is None
    assert person.vault_file.read_text() == f"{NEW_VAULT_TOKEN}\n"
    assert person.server.count(CREDS) == 0
    assert list((person.folder / ".config/htgettoken").glob("credkey-*default")) == []


def test_the_address_alone_costs_no_request(person: Person) -> None:
    """With the kept vault token; without knowing whose login it is there is none."""
    words = (*NO_LOGIN, "--showbearerurl", "--nobearertoken")
    with pytest.raises(LoginNeeded, match="whose login"):
        run(person, *words)
    person.has_logged_in()
    assert run(person, *words) is None
    assert person.server.asked == []
    url = "https://vault.example.org:8200/v1/secret/oauth/creds/cms/ada:default"
    assert person.out.getvalue() == f"{url}\n"
    desk = person.desk()
    assert bearer_url(read(person.words, desk, person.reach), desk) == url


def test_a_minimum_above_the_lifetime_is_refused(person: Person) -> None:
    """Nobody is asked."""
    with pytest.raises(Malformed, match="less than"):
        run(person, "--vaulttokenminttl=7d")
    assert person.server.asked == []


def test_a_refused_scope_is_told_with_the_servers_words(person: Person) -> None:
    """Without what could be a token in them."""
    person.has_logged_in()
    words = f"no such scope hvs.kept {'x' * 50}\x1b[2J"
    person.server.plan(STS, refusal(400, words))
    with pytest.raises(NotAllowed) as refused:
        run(person, *NO_LOGIN, "--scopes=x")
    assert "no such scope (not shown) (not shown)" in refused.value.sentence
    assert "\x1b" not in refused.value.sentence


def test_what_is_unfit_on_this_machine_is_told_and_left(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vault token that is none, no ticket, no agent; the answer is that a login is needed."""

    def missing(_: str) -> bytes:
        raise LocalFileUnfit("No ticket.")

    monkeypatch.setattr(tickets, "first_message", missing)
    person.has_logged_in()
    person.vault_file.write_text("two words")
    person.environ["SSH_AUTH_SOCK"] = str(person.folder / "nobody")
    with pytest.raises(LoginNeeded, match="no login there"):
        run(person, "-v")
    said = person.err.getvalue()
    for told in ("no vault token", "Kerberos init failed: No ticket.", "ssh-agent"):
        assert told in said
    assert person.server.asked == []


def test_a_token_that_cannot_be_put_down_is_an_error_of_its_own(person: Person) -> None:
    """Nobody is sent to log in again for that."""
    person.has_logged_in()
    person.sits_at_a_terminal()
    with pytest.raises(LocalFileUnfit, match="cannot be written"):
        run(person, "-o", str(person.folder / "missing" / "bt"))
    assert person.server.count(AUTH_URL) == 0


@pytest.mark.parametrize(("more", "logins"), [((), 0), (("--nobearertoken",), 1)])
def test_of_callers_that_begin_together_one_asks_the_person(
    person: Person, more: tuple[str, ...], logins: int
) -> None:
    """The others wait, and use what came of it, unless they want a vault token of their own."""
    person.sits_at_a_terminal()
    folder = person.folder / ".config/htgettoken"
    folder.mkdir(parents=True)
    held = os.open(folder / "credkey-cms-default.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)

    def logged_in() -> None:
        person.vault_file.write_text("hvs.kept\n")
        (folder / "credkey-cms-default").write_text("ada\n")
        os.close(held)

    person.clock.after(30, logged_in)
    run(person, *BY_BROWSER, *more)
    assert person.server.count(AUTH_URL) == logins
    assert person.vault_file.read_text() == f"{NEW_VAULT_TOKEN if logins else 'hvs.kept'}\n"
    assert "another login of yours" in person.err.getvalue()


def test_where_nothing_can_be_locked_a_login_goes_on(person: Person) -> None:
    """As in a home that cannot be written, with a credkey that is said."""
    person.sits_at_a_terminal()
    (person.folder / ".config").touch()
    assert run(person, *BY_BROWSER, "--credkey=ada")


def test_nobody_confirms_a_login_in_vain(person: Person) -> None:
    """Where its vault token, or whose it is, cannot be kept, that is told before anybody is asked."""
    person.sits_at_a_terminal()
    person.vault_file.symlink_to("/somewhere")  # as others can in /tmp
    with pytest.raises(LocalFileUnfit, match="not a plain file"):
        run(person, *BY_BROWSER)
    person.vault_file.unlink()
    with pytest.raises(LocalFileUnfit, match="missing"):
        run(person, *BY_BROWSER, f"--vaulttokenfile={person.folder}/missing/vt")
    (person.folder / "file").touch()
    with pytest.raises(LocalFileUnfit, match="cannot be made"):
        run(person, *BY_BROWSER, f"--configdir={person.folder}/file/x")
    assert person.server.count(AUTH_URL) == 0


def test_a_folder_that_takes_no_lock_ends_no_login(person: Person) -> None:
    """As one on a file system that is only read, with a credkey that is said."""
    person.sits_at_a_terminal()
    (person.folder / ".config/htgettoken/credkey-cms-default.lock").mkdir(parents=True)
    assert run(person, *BY_BROWSER, "--credkey=ada")


@pytest.mark.parametrize(
    "more", [{"client_token": "hvs.a\r\nX-More: 1"}, {"client_token": "two words"}]
)
def test_a_vault_token_that_could_be_more_is_none(person: Person, more: dict[str, str]) -> None:
    """It is neither sent nor kept."""
    person.sits_at_a_terminal()
    person.server.plan(POLL, by_browser(**more))
    with pytest.raises(NotAllowed, match="no server in HTVault's way"):
        run(person, *BY_BROWSER)
    assert not person.vault_file.exists()


@pytest.mark.parametrize("token", ["rm -rf /\n", "a\x1b[2J", "\xe9"])
def test_what_is_no_token_is_put_nowhere(person: Person, token: str) -> None:
    """A server that lies writes no lines of its own into files, and nothing to a terminal."""
    person.has_logged_in()
    person.server.plan(CREDS, bearer(token))
    for place in (str(person.bearer_file), "/dev/stdout"):
        with pytest.raises(BrokerUnreachable, match="no server in HTVault's way"):
            run(person, *NO_LOGIN, "-o", place)
    assert not person.bearer_file.exists()
    assert person.out.getvalue() == ""


@pytest.mark.parametrize("credkey", ["ada\nhttps://evil", "\x1b]0;x\x07", "../../sys/x"])
def test_a_credkey_is_a_name_and_nothing_else(person: Person, credkey: str) -> None:
    """It becomes part of addresses, of which readers of standard output count the lines."""
    person.sits_at_a_terminal()
    told = {"credkey": credkey, "oauth2_refresh_token": ""}
    person.server.plan(POLL, login(metadata=told))
    with pytest.raises(NotAllowed, match="credkey"):
        run(person, *BY_BROWSER, "--showbearerurl")
    assert person.out.getvalue() == ""


@pytest.mark.parametrize("words", [("-i", "x/../../../.bashrc"), ("-r", "/../../../.bashrc")])
def test_names_lead_no_file_elsewhere(person: Person, words: tuple[str, str]) -> None:
    """Issuer and role are part of a file's name."""
    with pytest.raises(Malformed, match="slash"):
        run(person, *words)
    assert person.server.asked == []


def test_only_a_token_makes_room_for_a_token(person: Person) -> None:
    """A slip of the pen costs nobody a file with more than a word in it."""
    person.has_logged_in()
    letter = person.folder / "letter"
    letter.write_text("Dear Ada,\n")
    with pytest.raises(LocalFileUnfit, match="not replaced"):
        run(person, *NO_LOGIN, "-o", str(letter))
    assert letter.read_text() == "Dear Ada,\n"
    letter.write_text("")
    assert run(person, *NO_LOGIN, "-o", str(letter))


def test_keys_are_registered_for_whoever_logged_in(person: Person) -> None:
    """Not for who did the time before."""
    person.has_logged_in()
    person.sits_at_a_terminal()
    told = {"credkey": "eve", "oauth2_refresh_token": "x"}
    person.server.plan(POLL, login(metadata=told))
    person.server.plan("/v1/auth/ssh/role/", answer(status=204))
    with running_agent(person.folder, [ed25519_key()]) as environ:
        person.environ |= environ
        run(person, "--registerssh")
    assert person.server.count("/v1/auth/ssh/role/eve") == 1


def test_what_is_typed_moves_no_cursor(person: Person) -> None:
    """Nor what an option server makes of it."""
    person.has_logged_in()
    person.server.plan("/v1/secret/", bearer(person.token()))
    run(person, *NO_LOGIN, "-v", "--secretpath=secret/\x1b[2Joauth/creds/%issuer/x")
    assert "\x1b" not in person.err.getvalue()
