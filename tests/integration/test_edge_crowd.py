"""The engine with all that one access point may have, over made-up time."""

from __future__ import annotations

from credbroker.domain.errors import BrokerUnreachable, LeaseEnded, LocalFileUnfit
from tests.fakes.edge import LIFE_SECONDS, Edge, order


async def test_among_ten_thousand_the_poisoned_ones_and_a_black_hole_age_no_other_file() -> None:
    """10,000 orders at 20 servers, 5 % poisoned in every way, one server that swallows everything.

    No other file ever gets older than the plan says: nine tenths of a token's life.
    """
    edge = Edge()
    names = [f"o{number}" for number in range(10_000)]
    edge.source.want(*(order(name, f"s{number % 20}") for number, name in enumerate(names)))
    poisoned = {name for number, name in enumerate(names) if number % 20 == number // 20 % 20}
    assert len(poisoned) == 500
    for number in range(20):
        asker = edge.asker(f"s{number}")
        asker.most_at_once, asker.answer_seconds = 100, 0.1
        asker.spoilt = BrokerUnreachable("A proxy says 502.")
    for number, name in enumerate(sorted(poisoned)):
        asker = edge.asker(edge.source.wanted[name].server)
        if number % 3 == 0:
            asker.troubles[name] = LeaseEnded("It was ended.")
        elif number % 3 == 1:
            edge.writer.full[order(name).place.path] = LocalFileUnfit("The disk is full.")
        elif number % 50 == 2:
            asker.spoils.add(name)
        else:
            asker.troubles[name] = BrokerUnreachable("The issuer of this one is slow.")
    hole = edge.asker("s7")
    hole.answer_seconds, hole.trouble = 30.0, BrokerUnreachable("It does not answer.")
    good = {
        name for name in names if name not in poisoned and edge.source.wanted[name].server != "s7"
    }
    edge.start()
    await edge.clock.pass_time(120)
    assert good <= set(edge.source.fresh), "all are there within two minutes"
    worst = 0.0
    for _ in range(int(1.5 * LIFE_SECONDS / 60)):
        await edge.clock.pass_time(60)
        now = edge.clock.now()
        worst = max(
            worst,
            *(
                (now - edge.source.fresh[name][-1].token.obtained_at).total_seconds()
                for name in good
            ),
        )
    assert worst <= 0.9 * LIFE_SECONDS
    assert len(edge.writer.files) == len(set(edge.source.fresh))
    await edge.stop()
