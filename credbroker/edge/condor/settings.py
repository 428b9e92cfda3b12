"""What an access point's configuration says to its credmon.

HTCondor's own names are used, and each has the meaning and the default it has for HTCondor's own
credmons. Any of them may be unset but the folder, which is where everything is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from credbroker.domain.errors import BadSettings
from credbroker.edge.condor.names import ALL, Claims, check_providers, split_names
from credbroker.edge.condor.vault_url import TrustedHost

MINIMUM_SECONDS = 2400
USUAL_CA_FOLDER = Path("/etc/grid-security/certificates")
_CLIENT_ID = "_CLIENT_ID"
_USUALLY_LOCAL = "scitokens"
_USUAL_AUTHORIZATION = "read:/user/{username} write:/user/{username}"


@dataclass(frozen=True, slots=True)
class LocalTokens:
    """Under which standing lease the tokens of the access point's own users are asked for.

    In a scope `{username}` stands for the user.
    """

    lease_file: Path
    authorization: str = _USUAL_AUTHORIZATION
    audiences: tuple[str, ...] = ()
    as_json: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration, read and checked; `trusted_hosts` None is any."""

    folder: Path
    log_file: Path | None = None
    minimum_seconds: int = MINIMUM_SECONDS
    refresh_seconds: float = MINIMUM_SECONDS / 2
    claims: Claims = Claims()  # noqa: RUF009 - frozen
    trusted_hosts: tuple[TrustedHost, ...] | None = None
    ca_file: Path | None = None
    ca_folder: Path | None = None
    local: LocalTokens | None = None


def read_settings(
    said: Mapping[str, str],
    *,
    name: str,
    folder: Path | None = None,
    log_file: Path | None = None,
    only: frozenset[str] | None = None,
) -> Settings:
    """Read the settings.

    Args:
        said: HTCondor's settings, expanded, by their names in upper case.
        name: The daemon's name, after which the setting of its log is named.
        folder: The folder of credentials if the command line names one.
        log_file: The log if the command line names one.
        only: The providers that the command line limits the credmon to.

    Raises:
        BadSettings: A setting cannot be understood, or the folder is not named.
    """
    knobs = {key: value.strip() for key, value in said.items() if value.strip()}
    minimum = _seconds(knobs, "CREDMON_OAUTH_TOKEN_MINIMUM", MINIMUM_SECONDS)
    local = _local(knobs)
    return Settings(
        folder=folder or _folder(knobs),
        log_file=log_file or _path(knobs, f"{name.upper()}_LOG") or _usual_log(knobs, name),
        minimum_seconds=minimum,
        refresh_seconds=_seconds(knobs, "CREDMON_OAUTH_TOKEN_REFRESH", minimum // 2),
        claims=_claims(knobs, only, serves_local=local is not None),
        trusted_hosts=_trusted(knobs.get("TRUSTED_VAULT_HOSTS", "")),
        ca_file=_path(knobs, "AUTH_SSL_CLIENT_CAFILE"),
        ca_folder=_path(knobs, "AUTH_SSL_CLIENT_CADIR")
        or (USUAL_CA_FOLDER if USUAL_CA_FOLDER.is_dir() else None),
        local=local,
    )


def _folder(knobs: Mapping[str, str]) -> Path:
    found = _path(knobs, "SEC_CREDENTIAL_DIRECTORY_OAUTH")
    if found is None:
        raise BadSettings(
            "It is not said where HTCondor's folder of OAuth credentials is.",
            "Set SEC_CREDENTIAL_DIRECTORY_OAUTH, as `use feature:OAUTH` does, or give --cred-dir.",
        )
    return found


def _usual_log(knobs: Mapping[str, str], name: str) -> Path | None:
    folder = _path(knobs, "LOG")
    words = "".join(word.capitalize() for word in name.split("_"))
    return None if folder is None else folder / f"{words}Log"


def _claims(knobs: Mapping[str, str], only: frozenset[str] | None, *, serves_local: bool) -> Claims:
    whole_names = _flag(knobs, "CREDMON_ALLOW_SPECIAL_CHAR_NAMES", unset=False)
    lists = {
        kind: _providers(knobs, f"{kind}_CREDMON_PROVIDER_NAMES", whole_names=whole_names)
        for kind in ("VAULT", "LOCAL", "OAUTH2", "CLIENT", "PELICAN")
    }
    local = lists["LOCAL"] or split_names(knobs.get("LOCAL_CREDMON_PROVIDER_NAME", _USUALLY_LOCAL))
    foreign = lists["OAUTH2"] | lists["CLIENT"] | lists["PELICAN"]
    clients = (key.removesuffix(_CLIENT_ID) for key in knobs if key.endswith(_CLIENT_ID))
    return Claims(
        vault=lists["VAULT"],
        local=local if serves_local else frozenset(),
        foreign=(foreign if serves_local else foreign | local) - {ALL},
        clients=frozenset(clients),
        only=only,
        whole_names=whole_names,
    )


def _providers(knobs: Mapping[str, str], setting: str, *, whole_names: bool) -> frozenset[str]:
    found = split_names(knobs.get(setting, ""))
    check_providers(setting, found, whole_names=whole_names)
    return found


def _local(knobs: Mapping[str, str]) -> LocalTokens | None:
    lease_file = _path(knobs, "LOCAL_CREDMON_LEASE_FILE")
    if lease_file is None:
        return None
    return LocalTokens(
        lease_file,
        knobs.get("LOCAL_CREDMON_AUTHZ_TEMPLATE", _USUAL_AUTHORIZATION),
        tuple(sorted(split_names(knobs.get("LOCAL_CREDMON_TOKEN_AUDIENCE", "")))),
        _flag(knobs, "LOCAL_CREDMON_TOKEN_USE_JSON", unset=True),
    )


def _trusted(text: str) -> tuple[TrustedHost, ...] | None:
    return tuple(TrustedHost.read(one) for one in sorted(split_names(text))) or None


def _path(knobs: Mapping[str, str], setting: str) -> Path | None:
    if setting not in knobs:
        return None
    path = Path(knobs[setting])
    if not path.is_absolute():
        raise BadSettings(f"{setting} is no absolute path.")
    return path


def _seconds(knobs: Mapping[str, str], setting: str, unset: int) -> int:
    text = knobs.get(setting, str(unset))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**9:
        raise BadSettings(f"{setting} is {text[:64]!r}, and should be a whole number of seconds.")
    return int(text)


def _flag(knobs: Mapping[str, str], setting: str, *, unset: bool) -> bool:
    text = knobs.get(setting, str(unset)).lower()
    if text not in {"true", "false", "t", "f", "yes", "no", "1", "0"}:
        raise BadSettings(f"{setting} is {text[:64]!r}, and should be True or False.")
    return text[0] in "ty1"
