"""How long a token may live, by how narrow it is: the narrower, the longer.

- Each scope of a token falls into a row of the table, and a token for any audience into one more;
  of all of them the shortest time counts.
- A row has the `usual` time, for whoever has no line of policy about it, and the `most` that such a
  line may give. An operator's own number for a row replaces the usual time, and raises the most.

| Row | For | Usual | Most |
|---|---|---|---|
| `any_audience` | a token that every service accepts | 15 min | 1 h |
| `modify_all` | `storage.modify:/` | 10 min | 15 min |
| `modify` | `storage.modify` of anything narrower | 1 h | 1 h |
| `create` | `storage.create` | 1 h | 6 h |
| `read` | `storage.read` | 1 h | 6 h |
| `read_file` | `storage.read` of one file at one storage | 6 h | 7 days |
| `stage` | `storage.stage` | 6 h | 6 h |
| `poll` | `storage.poll` | 6 h | 7 days |
| `compute` | `compute.*` | 1 h | 1 day |
| `other` | groups, and whatever else there is | 1 h | 6 h |

The numbers rest on the recommendations of WLCG token profile 1.3 (section "Token lifetime") and on
what it lets workflows agree on beyond them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from credbroker.domain.attenuation import ANY_AUDIENCE, Right
from credbroker.domain.scopes import COMPUTE, ScopeItem

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
LONGEST_SECONDS = 30 * _DAY
"""What no operator's number goes beyond: a token cannot be called back where it is checked offline."""
_FILE_SEGMENTS = 3
"""A path of fewer segments is taken for a folder, whatever it looks like."""


@dataclass(frozen=True)
class Lifetime:
    """One row: seconds without a line of policy, and the most seconds with one."""

    usual: int
    most: int


ROWS: Mapping[str, Lifetime] = {
    "any_audience": Lifetime(15 * _MINUTE, _HOUR),
    "modify_all": Lifetime(10 * _MINUTE, 15 * _MINUTE),
    "modify": Lifetime(_HOUR, _HOUR),
    "create": Lifetime(_HOUR, 6 * _HOUR),
    "read": Lifetime(_HOUR, 6 * _HOUR),
    "read_file": Lifetime(6 * _HOUR, 7 * _DAY),
    "stage": Lifetime(6 * _HOUR, 6 * _HOUR),
    "poll": Lifetime(6 * _HOUR, 7 * _DAY),
    "compute": Lifetime(_HOUR, _DAY),
    "other": Lifetime(_HOUR, 6 * _HOUR),
}

_BY_NAME = {
    "storage.create": "create",
    "storage.stage": "stage",
    "storage.poll": "poll",
    **dict.fromkeys(COMPUTE, "compute"),
}


@dataclass(frozen=True)
class LifetimeTable:
    """The table of one community."""

    rows: Mapping[str, Lifetime]

    @classmethod
    def of(cls, changes: Mapping[str, float]) -> LifetimeTable:
        """Return the table with an operator's numbers, in seconds by row, in it.

        Raises `ValueError`, in words, for a row that is not known, less than one second, or more than
        `LONGEST_SECONDS`.
        """
        for name, seconds in changes.items():
            if name not in ROWS:
                raise ValueError(f"there is no row {name!r}; the rows are {', '.join(ROWS)}")
            if not 1 <= seconds <= LONGEST_SECONDS:
                raise ValueError(f"{name} must be 1 to {LONGEST_SECONDS} seconds")
        changed = {
            name: Lifetime(int(seconds), max(int(seconds), ROWS[name].most))
            for name, seconds in changes.items()
        }
        return cls({**ROWS, **changed})

    def of_right(self, right: Right) -> tuple[str, Lifetime]:
        """Return how long a token with this right may live, and the row that its usual time is of."""
        names = _rows_of(right)
        if len(names) == 1:
            return names[0], self.rows[names[0]]
        usual = min(names, key=lambda name: self.rows[name].usual)
        most = min(self.rows[name].most for name in names)
        return usual, Lifetime(min(self.rows[usual].usual, most), most)


def _rows_of(right: Right) -> list[str]:
    """Return the rows that a token falls into; at least one, each once."""
    wild = ANY_AUDIENCE in right.audiences
    one_storage = len(right.audiences) == 1 and not wild
    names = [_row_of(item, one_storage=one_storage) for item in right.scopes.rights()]
    return list(dict.fromkeys([*(["any_audience"] if wild else []), *(names or ["other"])]))


def _row_of(item: ScopeItem, *, one_storage: bool) -> str:
    if item.name == "storage.modify":
        return "modify_all" if item.path == "/" else "modify"
    if item.name == "storage.read":
        return "read_file" if one_storage and _is_file(item.path or "/") else "read"
    return _BY_NAME.get(item.name, "other")


def _is_file(path: str) -> bool:
    """True for a path without a final slash that lies deep enough to be a file's."""
    return not path.endswith("/") and path.count("/") >= _FILE_SEGMENTS
