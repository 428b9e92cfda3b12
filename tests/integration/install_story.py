"""Played as root inside a booted machine: docs/install.md is followed, block by block, as it stands.

Only what the page says must be there beforehand is prepared: a host certificate that is trusted, what
OpenBao's own package brings, a client's secret, the packages in the folder where somebody types. An issuer
answers under the page's own address, and the person who logs in there says yes. What was seen goes as JSON
into the file named by the one argument, whatever comes of the story.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from credbroker.demo.certificates import Authority, make_authority
from credbroker.demo.issuer import Client, DevIssuer, IssuerSettings, Person, RefreshPolicy
from credbroker.demo.openbao import find_binary
from credbroker.demo.private_files import write_private
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

PAGE = Path("/opt/credbroker/source/docs/install.md")
BROKER, ISSUER = "broker.example.org", "issuer.example.org"
GRID = Path("/etc/grid-security")
CODE = re.compile(r" {4}([A-Z0-9]{6})")
PATIENCE_SECONDS = 60.0

# What OpenBao's own package brings beside the program.
_OPENBAO = """\
[Service]
Type=notify
User=openbao
ExecStart=/usr/bin/bao server -config=/etc/openbao/openbao.hcl
ExecReload=/bin/kill --signal HUP $MAINPID
[Install]
WantedBy=multi-user.target
"""

clock, entropy = SystemClock(), SystemEntropy()


def run(*words: str) -> str:
    """Run a program and return what it said; raise if it failed."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def blocks() -> list[str]:
    """Return every block that is a file or commands, in the order of the page."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [content for language, content in found if is_file(content) or language == "sh"]


def is_file(block: str) -> bool:
    """True for one whose first line names a file."""
    return block.startswith("# /")


def prepare(authority: Authority) -> None:
    """Have what the page says is needed, and what OpenBao's package brings."""
    GRID.mkdir(exist_ok=True)
    renew_certificate(authority)
    shutil.copy(authority.ca_file, "/usr/local/share/ca-certificates/site.crt")
    run("update-ca-certificates")
    with Path("/etc/hosts").open("a") as hosts:
        hosts.write(f"127.0.0.1 {ISSUER}\n")
    run("useradd", "--system", "openbao")
    Path("/usr/bin/bao").symlink_to(find_binary())
    Path("/etc/openbao").mkdir(mode=0o755)
    Path("/usr/lib/systemd/system/openbao.service").write_text(_OPENBAO)
    write_private(Path("/run/client-secret-cms"), b"a secret word of the client\n")


def renew_certificate(authority: Authority) -> None:
    """Put a new certificate of this host where the site's own tools put it."""
    certificate, key = authority.issue("host", Path("/var/story"), BROKER)
    shutil.copy(certificate, GRID / "hostcert.pem")
    shutil.copy(key, GRID / "hostkey.pem")


async def open_issuer(authority: Authority) -> DevIssuer:
    """Return an issuer that answers at the page's own address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("issuer", Path("/var/story"), ISSUER))
    settings = IssuerSettings(
        clients=(Client("credbroker", "a secret word of the client"),),
        people=(Person("alice", "wonderland"),),
        url=f"https://{ISSUER}/",
        refresh_policy=RefreshPolicy.ROTATE_REVOKE_FAMILY,
        interval=1,
    )
    issuer = DevIssuer(settings, clock, entropy, ssl_context=context)
    await issuer.start("127.0.0.1", 443)
    return issuer


async def play(block: str, issuer: DevIssuer) -> str:
    """Run a shell block to its end, with the person's yes to each code; return what it said."""
    shell = await asyncio.create_subprocess_exec(
        "/bin/bash", "-eu", "-c", block,
        cwd="/srv", start_new_session=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(Path.home()), "LANG": "C.UTF-8",
             "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert shell.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for line in shell.stdout:
                said += line.decode()
                if shown := CODE.fullmatch(line.decode().rstrip("\n")):
                    issuer.approve(shown[1], "alice")
            if await shell.wait():
                raise RuntimeError(f"{block}\nended with {shell.returncode}:\n{said}")
    finally:
        if shell.returncode is None:
            os.killpg(shell.pid, signal.SIGKILL)
            await shell.wait()
    return said


def write(block: str) -> None:
    """Write a block into the file that its first line names."""
    file = Path(block.split("\n", 1)[0].removeprefix("# "))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(block)


async def follow(authority: Authority, issuer: DevIssuer, seen: dict[str, Any]) -> None:
    """Do what the page says."""
    for block in blocks():
        if is_file(block):
            write(block)
            continue
        if "systemctl reload" in block:
            seen["certificate before"] = shown_certificate()
            renew_certificate(authority)
        print(f"--- {block}", flush=True)
        seen["said"].append(await play(block, issuer))


def shown_certificate() -> str:
    """Return the certificate that the broker shows."""
    return ssl.get_server_certificate((BROKER, 8200))


def look(seen: dict[str, Any]) -> None:
    """Note how things are after the last block."""
    seen["certificate after"] = shown_certificate()
    seen["certificate of the site"] = (GRID / "hostcert.pem").read_text()
    for unit in ("credbroker", "openbao"):
        words = ("systemctl", "show", unit, "--property=ActiveState,NRestarts,UnitFileState")
        seen[unit] = run(*words).splitlines()
    units = sorted(map(str, Path("/usr/lib/systemd/system").glob("credbroker*.service")))
    instances = (one.replace("@.", "@one.") for one in units)
    verify = ["systemd-analyze", "verify", *instances]
    seen["verified"] = subprocess.run(verify, capture_output=True, text=True, check=False).stderr
    secrets = Path("/etc/credbroker/secrets")
    seen["secrets"] = {
        str(one.relative_to("/etc/credbroker")): [oct(one.stat().st_mode & 0o777), one.owner()]
        for one in (secrets, *secrets.iterdir())
    }
    seen["left in memory"] = sorted(one.name for one in Path("/run").iterdir())


async def tell(seen: dict[str, Any]) -> None:
    """Play it, and note what was seen."""
    try:
        authority = make_authority(Path("/var/story"), clock)
        await asyncio.to_thread(prepare, authority)
        issuer = await open_issuer(authority)
        await follow(authority, issuer, seen)
        await asyncio.to_thread(look, seen)
        await issuer.stop()
    except Exception:  # noqa: BLE001 - whatever it was, who booted this machine is told
        seen["broke"] = traceback.format_exc()
    words = ("journalctl", "--unit=credbroker", "--unit=openbao", "--output=cat", "--no-pager")
    seen["journal"] = run(*words)


def main(place: Path) -> None:
    """Play it, and leave what was seen in `place`."""
    seen: dict[str, Any] = {"said": []}
    asyncio.run(tell(seen))
    place.write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
