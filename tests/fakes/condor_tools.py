"""`condor_store_cred` and `condor_config_val` as programs in a folder, and the credd's files behind.

They behave as HTCondor's were seen to: what is stored with scopes or an audience is written anew as
JSON with these added; a query ends with 0, 1 or 2 for stored, absent and stored otherwise, and says
of a `.top` without a `.use` that it waits; a host that is not trusted is refused. Each call is
noted with its arguments. Run by themselves, with nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

MISMATCH, UNTRUSTED = 2, "Credential requires interacting with an untrusted host"
_HOST = re.compile(r"https?://([^/]+)")
_ALLOWED = re.compile(r"[A-Za-z0-9+=_.-]+\Z")
USER = "alice"


class CondorTools:
    """The folder of the two programs, `bin`, and the credd's folder of the person."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        """Put the programs below `folder`; `settings` is what HTCondor is configured with."""
        self.bin = folder / "bin"
        self.credd = folder / "oauth_credentials"
        self.of_person = self.credd / USER
        self.bin.mkdir(parents=True)
        self.credd.mkdir()
        self.credd.chmod(0o2770)
        self.configure(settings)
        for name in ("condor_store_cred", "condor_config_val"):
            program = self.bin / name
            program.write_text(f"#!{sys.executable} -ISE\n{Path(__file__).read_text('utf-8')}")
            program.chmod(0o755)

    def configure(self, settings: dict[str, str]) -> None:
        """Have HTCondor configured with these settings from now on."""
        (self.bin / "settings.json").write_text(json.dumps(settings))

    def calls(self) -> list[list[str]]:
        """Return the words of each call so far."""
        log = self.bin / "calls"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def stored(self, host: str = "") -> dict[str, dict[str, str]]:
        """Return what the credd holds, or the one on `host`, by name."""
        files = (_folder(self.credd, host) / USER).glob("*.top")
        return {one.stem: json.loads(one.read_text()) for one in files}

    def serve(self, **tokens: str) -> None:
        """Do what a credmon does: make a token of everything that waits, newer than its `.top`."""
        for top in self.credd.parent.glob(f"oauth_credentials*/{USER}/*.top"):
            use = top.with_suffix(".use")
            if not use.exists() or use.stat().st_mtime < top.stat().st_mtime:
                use.write_text(tokens.get(top.stem, "a token") + "\n")


def main(words: list[str]) -> int:
    """Be the program that this is called as."""
    here = Path(words[0]).resolve().parent
    settings = json.loads((here / "settings.json").read_text())
    settings.update(
        {name[8:].upper(): value for name, value in os.environ.items()
         if name.upper().startswith("_CONDOR_")}
    )  # fmt: skip
    name = Path(words[0]).name
    with (here / "calls").open("a") as log:
        log.write(json.dumps([name, *words[1:]]) + "\n")
    if name == "condor_config_val":
        return _dump(settings) if "-dump" in words else _config_value(words[1], settings)
    return _store_cred(words[1], _options(words[2:]), settings, here.parent / "oauth_credentials")


def _config_value(name: str, settings: dict[str, str]) -> int:
    if name.upper() not in settings:
        print(f"Not defined: {name}", file=sys.stderr)
        return 1
    print(settings[name.upper()])
    return 0


def _dump(settings: dict[str, str]) -> int:
    for name, value in sorted(settings.items()):
        print(f"{name} = {value}")
    return 0


def _options(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=True))


def _store_cred(deed: str, said: dict[str, str], settings: dict[str, str], credd: Path) -> int:
    folder = _folder(credd, settings.get("CREDD_HOST", "")) / said.get("-u", USER).partition("@")[0]
    top, use = folder / f"{said['-s']}.top", folder / f"{said['-s']}.use"
    print(f"Account: <current> ({USER})\nCredType: oauth\n")
    if not _ALLOWED.match(said["-s"]):
        print("Operation aborted due to missing or bad arguments", file=sys.stderr)
        return 1
    if deed == "query-oauth":
        return _query(said, top, use)
    content = sys.stdin.read()
    if not _is_trusted(content, settings):
        print(UNTRUSTED, file=sys.stderr)
        return 1
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    started = top.with_suffix(f".top.tmp{os.getpid()}")
    started.touch(0o600)
    started.write_text(_as_stored(content, said))
    started.rename(top)
    waits = "" if use.exists() else " and is waiting for processing"
    print(f"Operation succeeded{waits}.")
    return 0


def _folder(credd: Path, host: str) -> Path:
    return credd.with_name(f"{credd.name}-{host}") if host else credd


def _query(said: dict[str, str], top: Path, use: Path) -> int:
    if not top.exists() and not use.exists():
        print("No credential is stored.")
        return 1
    if top.exists():
        kept = json.loads(top.read_text())
        if any(
            said.get(o, "") != kept.get(n, "") for o, n in (("-S", "scopes"), ("-A", "audience"))
        ):
            print("Credential was found but it did not match requested scopes or audience",
                  file=sys.stderr)  # fmt: skip
            return MISMATCH
    is_served = use.exists()
    print(
        f"A credential was stored and {'is valid' if is_served else 'is waiting for processing'}."
    )
    print("\nCredential info:")
    print(f'fully_qualified_user = "{USER}@example.org"')
    if is_served:
        print(f"{said['-s']} = {int(use.stat().st_mtime)}")
    print(f"Top{said['-s']}Time = {int(top.stat().st_mtime)}\n")
    return 0


def _is_trusted(content: str, settings: dict[str, str]) -> bool:
    trusted = settings.get("TRUSTED_VAULT_HOSTS")
    found = _HOST.match(json.loads(content).get("vault_url", ""))
    if trusted is None or found is None:
        return True
    return found[1].lower() in re.split(r"[,\s]+", trusted.lower())


def _as_stored(content: str, said: dict[str, str]) -> str:
    if "-S" not in said and "-A" not in said:
        return content
    added = {"scopes": said.get("-S"), "audience": said.get("-A")}
    kept = {**json.loads(content), **{key: value for key, value in added.items() if value}}
    return json.dumps(kept, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv))
