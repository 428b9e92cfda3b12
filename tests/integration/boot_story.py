"""Played as root inside the booted machine: sets the units up as their comments say, and looks.

What was seen goes as JSON into the file named by the one argument, whatever comes of the story.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.demo.certificates import Authority, make_authority
from credbroker.demo.openbao import OpenBaoServer
from credbroker.demo.private_files import write_private
from credbroker.domain.leases import LeaseToken
from credbroker.domain.secret import Secret
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from collections.abc import Callable

UID = 4711
ETC = Path("/etc/credbroker")
GIVEN = "/run/credentials/credbroker.service"
DROP_INS = Path("/etc/systemd/system")
# Long enough for a reading of the revocations in each third of it.
WATCHDOG_SECONDS = 6
# And for a pass of the edge's engine in each third of it.
EDGE_WATCHDOG_SECONDS = 15
PATIENCE_SECONDS = 30.0

clock, entropy = SystemClock(), SystemEntropy()


def run(*words: str) -> str:
    """Run a program and return what it said; raise if it failed."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def shown(unit: str, *names: str) -> dict[str, str]:
    """Return properties of a unit."""
    lines = run("systemctl", "show", unit, *(f"--property={one}" for one in names)).splitlines()
    return dict(line.split("=", 1) for line in lines)


def until(true: Callable[[], bool]) -> float:
    """Wait until something is so; return after how many seconds it was."""
    began = clock.elapsed()
    while not true():
        if clock.elapsed() > began + PATIENCE_SECONDS:
            raise RuntimeError("it did not come about")
        clock.block(0.05)
    return clock.elapsed() - began


def drop_in(unit: str, content: str) -> None:
    """Change a unit as `systemctl edit` does."""
    folder = DROP_INS / f"{unit}.d"
    folder.mkdir(exist_ok=True)
    (folder / "override.conf").write_text(content)


def set_up(authority: Authority, openbao: OpenBaoServer) -> None:
    """Write the broker's settings and secrets where the unit's comments want them."""
    run("systemd-sysusers")
    run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/credbroker.conf")
    certificate, key = authority.issue("broker", Path("/var/story"))
    (ETC / "tls.crt").write_bytes(certificate.read_bytes())
    (ETC / "ca.pem").write_bytes(openbao.ca_file.read_bytes())
    for name, content in {
        "role-id": openbao.role_id_file.read_bytes(),
        "secret-id": openbao.secret_id_file.read_bytes(),
        "tls-key": key.read_bytes(),
        "client-secret-wlcg": b"not asked for in this story",
    }.items():
        write_private(ETC / "secrets" / name, content)
    settings = {
        "public_url": "https://127.0.0.1:8200",
        "listen": {"tls": {"certificate_file": f"{ETC}/tls.crt", "key_file": f"{GIVEN}/tls-key"}},
        "audit": {"folder": "/var/log/credbroker"},
        "vault": {
            "addresses": [openbao.address],
            "ca_file": f"{ETC}/ca.pem",
            "mount": openbao.mount,
            "approle": {
                "role_id_file": f"{GIVEN}/role-id",
                "secret_id_file": f"{GIVEN}/secret-id",
            },
        },
        "issuers": {
            "wlcg": {
                "url": "https://127.0.0.1:9",
                "client_id": "credbroker",
                "client_secret_file": f"{GIVEN}/client-secret-wlcg",
                "credkey_claim": "preferred_username",
                "roles": {"default": {"scopes": ["openid", "offline_access", "storage.read:/"]}},
            }
        },
    }
    (ETC / "config.d/10-broker.yaml").write_text(yaml.safe_dump(settings))
    drop_in(
        "credbroker.service",
        "[Service]\nLoadCredential=client-secret-wlcg:/etc/credbroker/secrets/client-secret-wlcg\n"
        f"WatchdogSec={WATCHDOG_SECONDS}\nRestartSec=200ms\n",
    )
    run("systemctl", "daemon-reload")


def broker(seen: dict[str, Any]) -> None:
    """Start it, watch it, stop it."""
    began = clock.elapsed()
    run("systemctl", "start", "credbroker")
    seen["seconds until ready"] = clock.elapsed() - began
    seen["started"] = shown("credbroker", "ActiveState", "NRestarts", "User")
    pid = int(shown("credbroker", "MainPID")["MainPID"])
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    seen["status"] = {name: status[name] for name in ("CapEff", "NoNewPrivs", "Seccomp")}
    seen["core"] = Path(f"/proc/{pid}/limits").read_text().split("core file size", 1)[1].split()[:2]
    seen["credentials"] = {
        one.name: [oct(one.stat().st_mode & 0o777), one.owner()] for one in Path(GIVEN).iterdir()
    }
    seen["log folder"] = oct(Path("/var/log/credbroker").stat().st_mode & 0o777)
    seen["reloads"] = [reloaded(level) for level in ("debug", "loud")]
    clock.block(WATCHDOG_SECONDS + 2)
    seen["restarts while well"] = shown("credbroker", "NRestarts")["NRestarts"]
    os.kill(pid, signal.SIGSTOP)
    seen["seconds until started again"] = until(
        lambda: (
            shown("credbroker", "NRestarts", "ActiveState")
            == {"NRestarts": "1", "ActiveState": "active"}
        )
    )
    began = clock.elapsed()
    run("systemctl", "stop", "credbroker")
    seen["seconds until stopped"] = clock.elapsed() - began
    seen["stopped"] = shown("credbroker", "ActiveState", "Result", "ExecMainStatus")


def reloaded(level: str) -> dict[str, str]:
    """Reload with this level of the log; return which process it is after that, and what became of it."""
    settings = ETC / "config.d/20-log.yaml"
    settings.write_text(yaml.safe_dump({"log": {"level": level}}))
    before = sum(on_trail().values())
    # That is the signal alone: the broker may not have seen it yet.
    run("systemctl", "reload", "credbroker")
    until(lambda: sum(on_trail().values()) > before)
    until(lambda: shown("credbroker", "ActiveState")["ActiveState"] == "active")
    settings.unlink()
    return {**shown("credbroker", "MainPID"), **{name: str(n) for name, n in on_trail().items()}}


def on_trail() -> dict[str, int]:
    """Return how often the broker took new settings by now, and how often it refused them."""
    trail = "".join(one.read_text() for one in Path("/var/log/credbroker").glob("*.jsonl"))
    return {one: trail.count(f'"{one}"') for one in ("settings_taken", "settings_refused")}


def services(authority: Authority) -> float:
    """Start an agent of services whose broker is away, and say when."""
    lease = LeaseFile(
        broker="https://127.0.0.1:9",
        lease_token=LeaseToken(entropy.token(16), Secret("lease", entropy.token(32))).text(),
        issuer="wlcg",
        role="default",
        credkey="ada",
        scopes=["storage.read:/"],
        lease_ends_at=clock.now() + datetime.timedelta(days=1),
        ca_pem=authority.ca_file.read_text(),
    )
    lease_file.write(ETC / "agent/one.lease", lease, entropy)
    given = "/run/credentials/credbroker-agent@one.service/lease"
    token = {"path": "/run/credbroker-agent/token", "lease": given, "owner": "daemon"}
    (ETC / "agent/one.yaml").write_text(yaml.safe_dump({"tokens": {"a": token}}))
    drop_in("credbroker-agent@.service", f"[Service]\nWatchdogSec={EDGE_WATCHDOG_SECONDS}\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "credbroker-agent@one")
    return clock.elapsed()


def people(seen: dict[str, Any]) -> None:
    """Let somebody log in while the sessions' unit runs."""
    run("systemctl", "start", "probe")
    folder = Path(f"/run/user/{UID}")
    folder.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", f"mode=0700,uid={UID},gid={UID}", "tmpfs", str(folder))
    token = folder / f"bt_u{UID}"
    seen["seconds until a session has its token"] = until(token.exists)
    found = token.stat()
    seen["session's token"] = [oct(found.st_mode & 0o777), found.st_uid, found.st_gid]
    seen["sessions may"] = Path("/var/lib/credbroker-sessions/may").read_text()
    run("systemctl", "stop", "probe")


def main(place: Path) -> None:
    """Play it."""
    seen: dict[str, Any] = {}
    try:
        folder = Path("/var/story")
        authority = make_authority(folder, clock)
        openbao = OpenBaoServer(folder / "openbao", authority, clock, entropy)
        openbao.start()
        set_up(authority, openbao)
        services_began = services(authority)
        people(seen)
        broker(seen)
        # The rest of the story may be quicker than the watchdog.
        clock.block(services_began + EDGE_WATCHDOG_SECONDS + 1 - clock.elapsed())
        seen["seconds of services"] = clock.elapsed() - services_began
        seen["services"] = shown("credbroker-agent@one", "ActiveState", "NRestarts")
    except Exception:  # noqa: BLE001 - whatever it was, who booted this machine is told
        seen["broke"] = traceback.format_exc()
    seen["journal"] = run("journalctl", "--unit=credbroker*", "--output=cat", "--no-pager")
    place.write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
