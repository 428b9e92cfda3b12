"""The machine's chance; what it shares with the fake is in the contract."""

from __future__ import annotations

from credbroker.host.entropy import SystemEntropy


def test_two_programs_never_agree() -> None:
    """Each draws from the operating system."""
    assert SystemEntropy().token(16) != SystemEntropy().token(16)
    assert len({SystemEntropy().fraction() for _ in range(100)}) == 100
