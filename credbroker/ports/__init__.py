"""What the broker needs from outside, as Protocols: the only sockets in its wall.

Each port has a contract suite in `tests/contract` that every implementation passes, the fakes
included. Adapters in `stores`, `issuers`, `telemetry` and `host` satisfy these by shape; none
imports another.
"""

from __future__ import annotations

from credbroker.ports.issuing import Bridge as Bridge
from credbroker.ports.issuing import Issuer as Issuer
from credbroker.ports.issuing import LegacyVault as LegacyVault
from credbroker.ports.issuing import LocalMint as LocalMint
from credbroker.ports.issuing import PassedOn as PassedOn
from credbroker.ports.keeping import HostMarks as HostMarks
from credbroker.ports.keeping import RecordStore as RecordStore
from credbroker.ports.keeping import Spool as Spool
from credbroker.ports.keeping import StaleVersionError as StaleVersionError
from credbroker.ports.keeping import Stored as Stored
from credbroker.ports.outgoing import BeforeFirstByte as BeforeFirstByte
from credbroker.ports.outgoing import HttpAnswer as HttpAnswer
from credbroker.ports.outgoing import HttpDoor as HttpDoor
from credbroker.ports.outgoing import NoAnswerError as NoAnswerError
from credbroker.ports.outgoing import NotSentError as NotSentError
from credbroker.ports.proving import KerberosAcceptor as KerberosAcceptor
from credbroker.ports.proving import LoginSeal as LoginSeal
from credbroker.ports.proving import SshSignatures as SshSignatures
from credbroker.ports.running import Audit as Audit
from credbroker.ports.running import Clock as Clock
from credbroker.ports.running import Entropy as Entropy
from credbroker.ports.running import Waypoint as Waypoint
from credbroker.ports.running import Waypoints as Waypoints
from credbroker.ports.telling import Channel as Channel
from credbroker.ports.telling import Letter as Letter
from credbroker.ports.telling import LetterRefusedError as LetterRefusedError
