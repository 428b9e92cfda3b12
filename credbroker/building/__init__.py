"""Builds a broker from its settings: opens the stores and issuers they name, and wires the deeds.

The only place that knows every adapter. `daemon` runs what is built here, `admin` uses parts of it.
"""

from __future__ import annotations

from credbroker.building.communities import Signers as Signers
from credbroker.building.communities import build_communities as build_communities
from credbroker.building.communities import build_verifiers as build_verifiers
from credbroker.building.communities import lasting_of as lasting_of
from credbroker.building.communities import open_signers as open_signers
from credbroker.building.engines import build_deliveries as build_deliveries
from credbroker.building.engines import build_engine as build_engine
from credbroker.building.engines import build_htvault as build_htvault
from credbroker.building.engines import build_responding as build_responding
from credbroker.building.listening import server_tls as server_tls
from credbroker.building.notices import build_notices as build_notices
from credbroker.building.opening import Kept as Kept
from credbroker.building.opening import Opened as Opened
from credbroker.building.opening import open_all as open_all
from credbroker.building.opening import open_door as open_door
from credbroker.building.opening import open_issuer as open_issuer
from credbroker.building.opening import open_kept as open_kept
from credbroker.building.opening import open_vault as open_vault
