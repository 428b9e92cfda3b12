"""Runs a real OpenBao server on this machine, set up as a broker needs it."""

from credbroker.demo.openbao.server import OpenBaoError, OpenBaoServer, find_binary
from credbroker.demo.openbao.setup import OpenBaoSettings

__all__ = ["OpenBaoError", "OpenBaoServer", "OpenBaoSettings", "find_binary"]
