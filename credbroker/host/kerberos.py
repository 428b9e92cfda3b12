"""Checks Kerberos tickets with the system's GSS library (RFC 4121), for who is asked by HTTP.

- Tokens count as Kerberos itself makes them and wrapped in SPNEGO (RFC 4178); no other mechanism
  does.
- A token counts once on this host: the library's replay cache is a file in a folder of the broker's.
- The keytab is read for each token, so a new one is used at once.
- Nothing here reads or changes the environment of the process; the system's Kerberos settings hold.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from credbroker.domain.errors import BadSettings, LocalFileUnfit, LoginDenied, Malformed

if TYPE_CHECKING:
    from gssapi import raw

THREADS = 2
_KERBEROS = "1.2.840.113554.1.2.2"
_SPNEGO = "1.3.6.1.5.5.2"

log = structlog.get_logger(__name__)


class GssAcceptor:
    """Answers for whatever services one keytab has keys of. Follows `ports.KerberosAcceptor`."""

    def __init__(self, keytab: Path, replays: Path) -> None:
        """Check by `keytab`; note in the file `replays` what was shown, which others may share.

        Raises `BadSettings` if the package gssapi is not installed.
        """
        try:
            from gssapi import raw
        except ImportError:
            raise BadSettings(
                "Kerberos logins need the Python package gssapi, which is not installed.",
                "Install it with: pip install wlcg-credbroker[kerberos]",
            ) from None
        # The classes above this layer report some errors, a replay among them, only later.
        self._gss = raw
        self._kerberos = raw.OID.from_int_seq(_KERBEROS)
        self._mechanisms = [self._kerberos, raw.OID.from_int_seq(_SPNEGO)]
        self._keytab = keytab
        self._replays = replays
        # Threads of their own: those of the loop may all be waiting for a name server.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="kerberos")

    async def accept(self, token: bytes) -> str:
        """Return the principal that a token proves; see `ports.KerberosAcceptor`."""
        if not token:
            raise Malformed("No Kerberos ticket was shown.")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._accept, token)

    def close(self) -> None:
        """End the threads, once what is being checked is checked."""
        self._threads.shutdown()

    def _accept(self, token: bytes) -> str:
        keys = self._keys()
        try:
            found = self._gss.accept_sec_context(token, keys)
            if not found.more_steps and found.mech == self._kerberos:
                name: bytes = self._gss.display_name(found.initiator_name, False).name
                return name.decode("utf-8", "replace")
            why = "It is of another mechanism, or wants a second round."
        except self._gss.GSSError as error:
            why = str(error)
        log.info("ticket_not_accepted", why=why)
        raise LoginDenied(
            "Kerberos does not accept this ticket:"
            " it ran out, was shown before, or is for another service."
        )

    def _keys(self) -> raw.Creds:
        store: dict[bytes | str, bytes | str] = {
            b"keytab": b"FILE:" + os.fsencode(self._keytab),
            b"rcache": b"file2:" + os.fsencode(self._replays),
        }
        try:
            return self._gss.acquire_cred_from(store, mechs=self._mechanisms, usage="accept").creds
        except self._gss.GSSError as error:
            log.error("keytab_unfit", file=str(self._keytab), why=str(error))  # noqa: TRY400
            raise LocalFileUnfit(
                "The broker's keytab cannot be used.",
                "The operator must look at keytab_file; the broker's log says what is wrong.",
            ) from None
