"""Asks HTCondor's own tool for its settings, all of them at once and expanded."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from credbroker.domain.errors import BadSettings, LocalFileUnfit

PROGRAM = "condor_config_val"
_PATIENCE_SECONDS = 30.0
_SETTING = re.compile(r"([A-Za-z_][\w.]*) = ?(.*)\Z")


def ask_condor(subsystem: str) -> Mapping[str, str]:
    """Return HTCondor's settings as the daemon `subsystem` has them, by names in upper case.

    Settings of several lines are left out; none that a credmon reads is one.

    Raises:
        BadSettings: There is no such tool here.
        LocalFileUnfit: It failed, which may be for now only.
    """
    try:
        told = subprocess.run(  # noqa: S603 - the words are ours
            [PROGRAM, "-subsystem", subsystem, "-dump", "-expand"],
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE_SECONDS,
        )
    except FileNotFoundError:
        raise BadSettings(
            f"{PROGRAM} is not on the PATH, so HTCondor's settings cannot be read.",
            "Install HTCondor's tools or set PATH, or give --cred-dir to do without.",
        ) from None
    except (OSError, subprocess.TimeoutExpired):
        raise LocalFileUnfit(f"{PROGRAM} cannot be run or does not end.") from None
    if told.returncode:
        raise LocalFileUnfit(f"{PROGRAM} failed with exit code {told.returncode}.")
    return read_dump(told.stdout.decode("utf-8", "replace"))


def read_dump(text: str) -> Mapping[str, str]:
    """Return the settings in what the tool prints."""
    found = (_SETTING.match(line) for line in text.splitlines())
    return {one[1].upper(): one[2].strip() for one in found if one}
