"""Shows a Kerberos ticket: the first GSS-API message for a server, made from what the person has.

- It needs the library gssapi. This is the one place that does; without it there is a sentence.
- The server's name is taken as it is: looking up whom its address belongs to misleads where a name
  stands for several servers.
- First without this machine's Kerberos settings, which may know another realm only; then with them.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, Any, Iterator, MutableMapping, Optional

from credbroker.domain.errors import LocalFileUnfit

if TYPE_CHECKING:
    from typing import List

VARIABLE = "KRB5_CONFIG"
_SYSTEM = "/etc/krb5.conf"
_NO_REVERSE = "[libdefaults]\n    rdns = false\n"
_EXPIRED = "expired"


def first_message(host: str, environ: Optional[MutableMapping[str, str]] = None) -> bytes:
    """Return the message for the service `host` at `host`.

    Args:
        host: The server's name.
        environ: Where the Kerberos library looks for its settings; None for this program's.

    Raises:
        LocalFileUnfit: There is no ticket for that server, or no library.
    """
    try:
        import gssapi
    except ImportError:
        raise LocalFileUnfit(
            "Kerberos tickets cannot be shown: the Python library gssapi is not here.",
            "Install it for this Python, or log in another way.",
        ) from None
    environ = os.environ if environ is None else environ
    failure = ""
    with tempfile.NamedTemporaryFile("w", prefix="credbroker-krb5-") as settings:
        settings.write(_NO_REVERSE)
        settings.flush()
        for files in _orders(settings.name, environ.get(VARIABLE)):
            with _set(environ, files):
                try:
                    return _message(gssapi, host)
                except gssapi.exceptions.GSSError as refused:
                    failure = refused.gen_message()
            if _EXPIRED in failure:
                break
    raise LocalFileUnfit(
        f"There is no Kerberos ticket for host@{host}: {_last(failure)}.", "Get one with: kinit"
    )


def _orders(own: str, said: Optional[str]) -> List[str]:
    return [f"{own}:{said}"] if said else [own, f"{own}:{_SYSTEM}"]


@contextlib.contextmanager
def _set(environ: MutableMapping[str, str], files: str) -> Iterator[None]:
    before = environ.get(VARIABLE)
    environ[VARIABLE] = files
    try:
        yield
    finally:
        if before is None:
            del environ[VARIABLE]
        else:
            environ[VARIABLE] = before


def _message(gssapi: Any, host: str) -> bytes:
    service = gssapi.Name(f"host@{host}", gssapi.NameType.hostbased_service)
    return bytes(gssapi.SecurityContext(usage="initiate", name=service).step())


def _last(failure: str) -> str:
    """Return what is particular about a failure, which the library says last."""
    return failure.rpartition("): ")[2].rstrip(".") or "the library does not say why"
