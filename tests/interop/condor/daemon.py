"""HTCondor's own condor_credmon_vault, unmodified, with HTCondor's own bindings.

- The program and its classes are run where they lie in a folder of HTCondor's source; its bindings
  come from their package, checked against the hash in `requirements.txt`.
- It gets a network of its own, as it will ask at port 8200 alone; what it asks there is handed on.
- It renews every login whenever it looks, and looks whenever it is told to.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

from credbroker.host.clock import SystemClock
from tests.interop.alone import alone_in
from tests.interop.condor.crossing import Crossing
from tests.interop.site import STEP_SECONDS, bare_environment

SOURCE = "CREDBROKER_HTCONDOR_SOURCE"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"
_OF_CREDMON = Path("src/condor_credd/condor_credmon_oauth")
_ALONE = Path(__file__).parent / "alone.py"
_INSTALL_SECONDS = 240
_SCAN_SECONDS = 120.0
_POLL_SECONDS = 0.02
_LOOKED = "Sleeping for 60 seconds"
_RENEWED = "Successfully refreshed"
_FAILED = re.compile(r"Read of access token from .*")


def install_bindings(into: Path) -> Path:
    """Install HTCondor's bindings for Python into the folder `into`, unless they are there."""
    done = into / "done"
    with alone_in(into.parent):
        if not done.exists() or done.stat().st_mtime < REQUIREMENTS.stat().st_mtime:
            wanted = ("--require-hashes", "--no-deps", "--upgrade", "-r", str(REQUIREMENTS))
            pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            words = (*pip, *wanted, "--target", str(into))
            subprocess.run(words, check=True, timeout=_INSTALL_SECONDS)
            done.touch()
    return into


class CredmonDaemon:
    """One access point's credmon.

    Attributes:
        folder: The folder of credentials, with one folder for each person.
        complaints: What it wrote into its log, of reads that failed.
    """

    def __init__(self, folder: Path, ca_file: Path, port: int, bindings: Path) -> None:
        """Watch over `folder`; what it asks at port 8200 ends up at `port`."""
        self.folder, self.complaints = folder, list[str]()
        self._ca_file, self._bindings = ca_file, bindings
        self._seen: set[Path] = set()
        self._clock = SystemClock()
        self._log = folder / "CredmonLog"
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._program = self._start(theirs.fileno())
            theirs.close()
            _, handed_over, _, _ = socket.recv_fds(ours, 1, 1)
        self._crossing = Crossing(socket.socket(fileno=handed_over[0]), port)
        self._until_it_looked(0)

    @property
    def port(self) -> int:
        """Where its connections to port 8200 end up, which is what a site changes when it moves."""
        return self._crossing.port

    @port.setter
    def port(self, port: int) -> None:
        self._crossing.port = port

    @property
    def deleted(self) -> list[Path]:
        """Files that were there when it looked, and are not any more."""
        return sorted(path for path in self._seen if not path.exists())

    def scan(self) -> int:
        """Have it renew every login, and return how many it renewed."""
        self._seen |= self._files()
        before = self._log.read_text()
        self._program.send_signal(signal.SIGHUP)
        written = self._until_it_looked(before.count(_LOOKED))[len(before) :]
        self._seen |= self._files()
        self.complaints += _FAILED.findall(written)
        return written.count(_RENEWED)

    def close(self) -> None:
        """End it; nothing of it runs afterwards."""
        self._program.terminate()
        try:
            self._program.wait(STEP_SECONDS)
        finally:
            if self._program.poll() is None:
                os.killpg(self._program.pid, signal.SIGKILL)
                self._program.wait()
            self._crossing.close()

    def _start(self, channel: int) -> subprocess.Popen[bytes]:
        source = Path(os.environ[SOURCE]).resolve() / _OF_CREDMON
        alone = ("unshare", "--user", "--map-root-user", "--net", sys.executable, str(_ALONE))
        credmon = (sys.executable, str(source / "condor_credmon_vault"))
        where = ("--cred-dir", str(self.folder), "--log-file", str(self._log))
        settings = {
            "LOG": str(self.folder),
            "LIBEXEC": str(source),
            "AUTH_SSL_CLIENT_CAFILE": str(self._ca_file),
            "AUTH_SSL_CLIENT_CADIR": str(self.folder),
            "CREDMON_OAUTH_TOKEN_REFRESH": "0",
            "NO_DNS": "true",
            "DEFAULT_DOMAIN_NAME": "test",
            "NETWORK_INTERFACE": "127.0.0.1",
        }
        return subprocess.Popen(
            (*alone, str(channel), *credmon, *where),
            stdin=subprocess.DEVNULL,
            pass_fds=[channel],
            env={
                **bare_environment(),
                **{f"_CONDOR_{name}": text for name, text in settings.items()},
                "CONDOR_CONFIG": os.devnull,
                "PYTHONPATH": str(self._bindings),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            start_new_session=True,
        )

    def _until_it_looked(self, times: int) -> str:
        """Wait until it looked once more than `times` times; return its log."""
        ends = self._clock.elapsed() + _SCAN_SECONDS
        while self._clock.elapsed() < ends:
            assert self._program.poll() is None, "the credmon ended"
            written = self._log.read_text() if self._log.exists() else ""
            if written.count(_LOOKED) > times:
                return written
            self._clock.block(_POLL_SECONDS)
        raise AssertionError(f"the credmon did not look within {_SCAN_SECONDS:.0f} s")

    def _files(self) -> set[Path]:
        return {path for end in ("top", "use") for path in self.folder.glob(f"*/*.{end}")}
