"""Settings come from all files in order; whatever is wrong is named by file and dotted key."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credbroker.config.load import check_private, is_loopback, load, read_secret, secret_files
from credbroker.domain.errors import BadSettings
from credbroker.domain.marks import LEAST_GRACE_SECONDS
from tests.unit.config.place import right, write


def refused(folder: Path) -> str:
    """Return the sentence with which the settings in `folder` are refused."""
    with pytest.raises(BadSettings) as error:
        load(folder)
    return error.value.sentence


def changed(tree: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return `tree` with one value put in; the path's keys are split at slashes."""
    tree = copy.deepcopy(tree)
    at = tree
    *above, last = path.split("/")
    for key in above:
        at = at[key]
    at[last] = value
    return tree


def test_right_settings_are_read(tmp_path: Path) -> None:
    """With their defaults."""
    read = load(write(tmp_path, a=right(tmp_path)))
    assert list(read.issuers) == ["cms", "egi"]
    assert read.issuers["egi"].roles["pilot.2"].scopes[0] == "openid"
    assert read.listen.port == 8200


PLACES = [
    "",
    "vault/",
    "vault/approle/",
    "issuers/egi/",
    "issuers/cms/roles/default/",
    "issuers/egi/roles/pilot.2/",
    "audit/",
]


@pytest.mark.parametrize("place", PLACES)
def test_an_unknown_key_is_named_with_its_file(tmp_path: Path, place: str) -> None:
    """Wherever it is: a typo must not become a default."""
    tree = right(tmp_path)
    extra: dict[str, Any] = {}
    at = extra
    for key in filter(None, place.split("/")):
        at = at.setdefault(key, {})
    at["renew_aftr"] = 1
    folder = write(tmp_path, a=tree, b=extra)
    dotted = place.replace("/", ".") + "renew_aftr"
    assert refused(folder) == f"{folder}/b.yaml: {dotted}: this key is not known."


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("public_url", 5, "public_url"),
        ("vault/seconds", 0, "vault.seconds"),
        ("vault/addresses", ["https://a.test", 5], "vault.addresses[1]"),
        ("issuers/egi/legacy", {"url": "https://old.test:8200"}, "issuers.egi.legacy.until"),
        (
            "issuers/egi/legacy",
            {"url": "http://old.test:8200", "until": "2026-06-30"},
            "issuers.egi.legacy.url",
        ),
        (
            "issuers/egi/legacy",
            {"url": "https://old.test:8200", "until": "next summer"},
            "issuers.egi.legacy.until",
        ),
        ("vault/addresses", ["https://a.test", "http://b.test"], "vault.addresses[1]"),
        ("issuers/cms/unclear_answer", "hope", "issuers.cms.unclear_answer"),
        ("issuers/cms/unclear_answer", "grace", "issuers.cms.grace_seconds"),
        ("issuers/cms/grace_seconds", 30, "issuers.cms.grace_seconds"),
        ("issuers/cms/refreshes_at_once", 0, "issuers.cms.refreshes_at_once"),
        ("issuers/cms/revoke_replaced", "maybe", "issuers.cms.revoke_replaced"),
        ("custody", {"spool_entries": 0}, "custody.spool_entries"),
        ("custody", {"folder": ""}, "custody.folder"),
        ("keeper", {"warn_seconds": 90 * 86400}, "keeper.warn_seconds"),
        ("keeper", {"dormant_seconds": 90, "warn_seconds": 7}, "keeper.dormant_seconds"),
        ("keeper", {"dormant_seconds": 28 * 86400}, "keeper.dormant_seconds"),
        ("issuers/egi/roles/pilot.2/scopes", ["a", 5], "issuers.egi.roles.pilot.2.scopes[1]"),
        ("issuers/egi/roles", {}, "issuers.egi.roles"),
        (
            "issuers/egi",
            {"client_id": "x", "roles": {"r": {"scopes": ["openid"]}}},
            "issuers.egi.url",
        ),
        ("issuers", {}, "issuers"),
        ("listen", {"port": 70000}, "listen.port"),
        ("listen", {"address": "0.0.0.0"}, "listen.tls"),
        ("listen", {"address": ["127.0.0.1", "::"]}, "listen.tls"),
        ("listen", {"address": []}, "listen.address"),
        ("listen", {"tls": {"key_file": "/x"}}, "listen.tls.certificate_file"),
        ("audit/folder", 5, "audit.folder"),
        ("audit/folder", "", "audit.folder"),
        ("vault", None, "vault"),
        ("public_url", "http://broker.test", "public_url"),
        ("public_url", "https://u:p@broker.test", "public_url"),
        ("public_url", "https://broker.test/?x", "public_url"),
        ("public_url", "broker.test", "public_url"),
        ("public_url", "https://[::1", "public_url"),
        ("public_url", "https://broker.test:99999", "public_url"),
        ("issuers/egi/url", "ftp://issuer.test", "issuers.egi.url"),
        ("issuers/egi/roles/default/scopes", ["openid"], "issuers.egi.roles.default.scopes"),
        ("issuers/egi/roles/default/scopes", ["storage.read"], "issuers.egi.roles.default.scopes"),
        ("issuers/egi/audience_parameter", "resource", "issuers.egi.roles.default.audiences"),
    ],
)
def test_a_wrong_value_is_named_with_its_file(
    tmp_path: Path, path: str, value: object, named: str
) -> None:
    """By its dotted key, through the names of issuers and roles."""
    folder = write(tmp_path, a=changed(right(tmp_path), path, value))
    assert refused(folder).startswith(f"{folder}/a.yaml: {named}: ")


def test_a_broker_may_be_an_issuer_and_nothing_else(tmp_path: Path) -> None:
    """Nobody logs in there; a broker of neither kind would serve nobody."""
    tree = right(tmp_path)
    del tree["issuers"]
    assert ": issuers: name an issuer that people log in at" in refused(write(tmp_path, a=tree))
    service = {"secret_sha256": "0" * 64, "scopes": ["fts"], "audiences": ["fts.test"]}
    dteam = {"url": "https://broker.test:8200/dteam/", "clients": {"rucio": service}}
    read = load(write(tmp_path, a=tree | {"communities": {"dteam": dteam}}))
    assert (read.issuers, list(read.communities)) == ({}, ["dteam"])


@pytest.mark.parametrize("lease", ["login_seconds", "job_seconds"])
def test_no_lease_outlasts_what_is_remembered_of_revocations(tmp_path: Path, lease: str) -> None:
    """That is a year; one that came back to life would be worse than one too short."""
    for days, problem in [(366, ""), (367, "leases: no lease may last longer than a year")]:
        tree = changed(right(tmp_path), "leases", {lease: days * 86400})
        folder = write(tmp_path, a=changed(tree, "keeper", {"dormant_seconds": 400 * 86400}))
        if problem:
            assert problem in refused(folder)
        else:
            load(folder)


@pytest.mark.parametrize("rule", ["ask", "retry_safe", "once_more", "grace"])
def test_a_rule_for_lost_answers_is_read(tmp_path: Path, rule: str) -> None:
    """With its time, where it is about one."""
    tree = changed(right(tmp_path), "issuers/cms/unclear_answer", rule)
    if rule == "grace":
        tree = changed(tree, "issuers/cms/grace_seconds", 30)
    issuer = load(write(tmp_path, a=tree)).issuers["cms"]
    assert issuer.unclear_answer == rule
    assert issuer.grace_seconds == (30 if rule == "grace" else None)


def test_leases_that_outlive_an_unused_grant_are_refused(tmp_path: Path) -> None:
    """A job whose lease still runs would lose its login."""
    tree = changed(right(tmp_path), "leases", {"job_seconds": 90 * 86400})
    assert "keeper.dormant_seconds: " in refused(write(tmp_path, a=tree))


def test_a_grace_that_is_too_short_for_a_retry_is_refused(tmp_path: Path) -> None:
    """Every refresh would be cut off after a third of it; a probe records no such grace either."""
    tree = changed(right(tmp_path), "issuers/cms/unclear_answer", "grace")
    shorter = changed(tree, "issuers/cms/grace_seconds", LEAST_GRACE_SECONDS - 1)
    assert "issuers.cms.grace_seconds: less than 15 s" in refused(write(tmp_path, a=shorter))
    least = changed(tree, "issuers/cms/grace_seconds", LEAST_GRACE_SECONDS)
    assert load(write(tmp_path, a=least)).issuers["cms"].grace_seconds == LEAST_GRACE_SECONDS


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({}, "kerberos[0].realms"),
        ({"realms": []}, "kerberos[0].realms"),
        ({"realms": ["A"], "issuers": ["cms", "atlas"]}, "kerberos[0].issuers[1]"),
        ({"realms": ["A"], "domain": "/ada"}, "kerberos[0].domain"),
        ({"realms": ["A"], "domain": "\n"}, "kerberos[0].domain"),
    ],
)
def test_a_wrong_entry_for_kerberos_is_named(
    tmp_path: Path, entry: dict[str, Any], named: str
) -> None:
    """An issuer that is not there, no realm, a domain that leads to somebody else's names."""
    tree = right(tmp_path) | {"kerberos": [{"keytab_file": "/x"} | entry]}
    assert f": {named}: " in refused(write(tmp_path, a=tree))


def test_a_shared_host_that_is_no_address_is_named(tmp_path: Path) -> None:
    """Names are not looked up; a network with host bits is a network."""
    hosts = ["192.0.2.7/28", "2001:db8::1", "login.test"]
    tree = right(tmp_path) | {"htvault": {"shared_hosts": hosts}}
    assert ": htvault.shared_hosts[2]: " in refused(write(tmp_path, a=tree))


@pytest.mark.parametrize(
    ("hosts", "named"),
    [
        ({"names": ["lx1.test"]}, "hosts.names: this goes with `ca_file` only"),
        ({"ca_file": "ca.pem"}, "hosts.ca_file: certificates are shown over `listen.tls` only"),
        ({"groups": {"l x": []}}, "hosts.groups.l x: The group name"),
        ({"groups": {"lx": ["lx*.test", "lx?.test"]}}, "hosts.groups.lx[1]: A pattern is"),
        ({"ca_file": "ca.pem", "names": ["*.test/"]}, "hosts.names[0]: A pattern is"),
    ],
)
def test_hosts_that_could_not_be_known_are_named(
    tmp_path: Path, hosts: dict[str, Any], named: str
) -> None:
    """A pattern that means something else than it looks like is none."""
    assert named in refused(write(tmp_path, a={**right(tmp_path), "hosts": hosts}))


def test_hosts_and_their_groups_are_read(tmp_path: Path) -> None:
    """Groups go without certificates: hosts may have joined."""
    groups = {"lx": ["lx*.example.org", "LX1.example.net"]}
    read = load(write(tmp_path, a={**right(tmp_path), "hosts": {"groups": groups}}))
    assert (read.hosts.groups, read.hosts.ca_file) == (groups, None)


def test_an_entry_for_kerberos_is_read(tmp_path: Path) -> None:
    """For all issuers and without a domain where it says nothing of them."""
    entry = {"keytab_file": "/x", "realms": ["A"]}
    whole = entry | {"issuers": ["cms"], "domain": "@cms.test"}
    tree = right(tmp_path) | {"kerberos": [whole, entry]}
    one, other = load(write(tmp_path, a=tree)).kerberos
    assert (one.issuers, one.domain) == (["cms"], "@cms.test")
    assert (other.issuers, other.domain, other.realms) == ([], "", ["A"])


def test_a_bad_name_of_an_issuer_or_role_is_refused(tmp_path: Path) -> None:
    """It would end up in commands and paths."""
    tree = right(tmp_path)
    tree["issuers"]["a/b"] = tree["issuers"]["egi"]
    assert "issuers.a/b" in refused(write(tmp_path, a=tree))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is written twice"),
        ("vault:\n  seconds: 1\n  seconds: 1\n", "line 3: the key 'seconds' is written twice"),
        ("a: [1\n", "line "),
        ("? [a, b]\n: 1\n", "line 1: a key must be a text"),
        ("5: x\n", "the key 5 in $ must be a text"),
        ("- a\n", "the settings must be a mapping"),
        ("a: 2026-13-45\n", "this is not YAML"),
        ("a: !!python/object/apply:os.system ['true']\n", "line 1: "),
        ("a: \x01\n", "this is not YAML"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str, said: str) -> None:
    """With the line, where there is one; nothing in it is carried out."""
    folder = write(tmp_path, a=right(tmp_path), b=text)
    sentence = refused(folder)
    assert sentence.startswith(f"{folder}/b.yaml: ")
    assert said in sentence


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """By name."""
    folder = write(tmp_path, a="")
    (folder / "a.yaml").write_bytes(b"\xff\xfe\xff")
    assert refused(folder) == f"{folder}/a.yaml: this is not YAML."


def test_a_folder_without_settings_is_refused(tmp_path: Path) -> None:
    """Missing, empty, or only with other files."""
    (tmp_path / "x.yml").touch()
    for folder in (tmp_path, tmp_path / "none"):
        assert refused(folder) == f"{folder}: there is no *.yaml file here."


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """A folder of that name, here."""
    folder = write(tmp_path, a=right(tmp_path))
    (folder / "b.yaml").mkdir()
    assert refused(folder).startswith(f"{folder}/b.yaml: cannot be read")


def test_later_files_win_key_by_key(tmp_path: Path) -> None:
    """Mappings are merged; lists and single values replace; an empty file changes nothing."""
    over = {"vault": {"addresses": ["https://v3.test"]}, "log": {"level": "debug"}}
    folder = write(tmp_path, b=over, a=right(tmp_path), c="# nothing\n")
    read = load(folder)
    assert read.vault.addresses == ["https://v3.test"]
    assert read.vault.approle is not None
    assert read.vault.approle.secret_id_file == tmp_path / "secret-id"
    assert read.log.level == "debug"


@given(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_last_file_that_says_something_counts(tmp_path: Path, said: list[int]) -> None:
    """In the order of their names."""
    files = {f"f{number}": {"vault": {"seconds": value}} for number, value in enumerate(said)}
    for old in tmp_path.glob("config.d/*"):
        old.unlink()
    assert load(write(tmp_path, a=right(tmp_path), **files)).vault.seconds == said[-1]


# Secrets


def secret_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    """Write a file and give it a mode."""
    file = folder / "secret"
    file.write_bytes(content)
    file.chmod(mode)
    return file


def test_a_secret_is_read_without_white_space_around_it(tmp_path: Path) -> None:
    """As editors and `echo` leave it; a group may read it."""
    read = read_secret(secret_file(tmp_path, b" s3cret-word\r\n", 0o640), "client secret")
    assert read.reveal() == "s3cret-word"
    assert read.kind == "client secret"


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (b"s3cret-word", 0o644),
        (b"s3cret-word", 0o602),
        (b"s3cret-word", 0o601),
        (b"", 0o600),
        (b" \n", 0o600),
        (b"s3cret-word\nsecond", 0o600),
        (b"s3cret-word\x00", 0o600),
        (b"s3cret-word" * 6000, 0o600),
    ],
)
def test_a_secret_that_is_unfit_is_refused_unshown(
    tmp_path: Path, content: bytes, mode: int
) -> None:
    """Open to everybody, empty, of several lines, huge."""
    file = secret_file(tmp_path, content, mode)
    with pytest.raises(BadSettings) as error:
        read_secret(file, "client secret")
    assert error.value.sentence.startswith(f"{file}: ")
    assert "s3cret" not in error.value.sentence


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    """And so is a folder in its place; no file stays open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for file in (tmp_path / "none", tmp_path):
        with pytest.raises(BadSettings, match="the client secret cannot be read"):
            read_secret(file, "client secret")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_known(host: str) -> None:
    """By name or number."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "localhost.evil.test", "127.0.0.1.evil.test", ""]
)
def test_nothing_else_is_loopback(host: str) -> None:
    """However it begins."""
    assert not is_loopback(host)


def test_a_key_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    """As is one that is not there; the file itself is not looked into."""
    key = tmp_path / "key.pem"
    with pytest.raises(BadSettings, match="cannot be read"):
        check_private(key, "TLS key")
    key.write_text("a key")
    key.chmod(0o644)
    with pytest.raises(BadSettings, match="chmod 0600"):
        check_private(key, "TLS key")
    key.chmod(0o640)
    check_private(key, "TLS key")


def test_all_secret_files_are_listed(tmp_path: Path) -> None:
    """An issuer without a client secret has none."""
    tree = right(tmp_path)
    del tree["issuers"]["cms"]["client_secret_file"]
    listed = secret_files(load(write(tmp_path, a=tree)))
    assert [file.name for _, file in listed] == ["role-id", "secret-id", "client-secret"]


def test_a_pod_may_log_in_by_its_service_account(tmp_path: Path) -> None:
    """Its token is a secret like others, and its method may be mounted anywhere."""
    tree = right(tmp_path)
    del tree["vault"]["approle"]
    file = tmp_path / "account"
    tree["vault"]["kubernetes"] = {"role": "credbroker", "token_file": str(file)}
    read = load(write(tmp_path, a=tree))
    assert read.vault.kubernetes is not None
    assert read.vault.kubernetes.mount == "kubernetes"
    assert ("service account's token", file) in secret_files(read)


@pytest.mark.parametrize("ways", [[], ["approle", "kubernetes"]])
def test_no_way_into_vault_and_two_are_refused(tmp_path: Path, ways: list[str]) -> None:
    """With two it would be anybody's guess which one counts."""
    tree = right(tmp_path)
    account = {"role": "credbroker", "token_file": "/x"}
    both = {"approle": tree["vault"].pop("approle"), "kubernetes": account}
    tree["vault"] |= {way: both[way] for way in ways}
    assert ": vault: name one way to log in, `approle` or `kubernetes`." in refused(
        write(tmp_path, a=tree)
    )
