"""Full states that an exchange repeats, as the collector hands them over."""

import json

from recorder.clock import Clock
from recorder.live.channel import Recorded
from recorder.live.repeated import UNSETTLED_S, Repetitions
from recorder.model import REPEATED
from recorder.venues import venue_named
from recorder.venues.reading import read_frame
from tests.bench.records import recorded_of

#: Positions in each state.
POSITIONS = 50
VENUE = "hyperliquid"
#: Between two pushes of the state, seconds.
STEP_S = 5.0


def repeating(states: int, repeats: int, *, with_rows: bool = False) -> list[Recorded]:
    """Frames of Hyperliquid with 50 positions, pushed five seconds apart.

    Args:
        states: how many different ones.
        repeats: how often each is pushed.
        with_rows: whether repetitions are stored like any other push.
    """
    now_s = UNSETTLED_S
    pushes = [_state(number // repeats + 1, number) for number in range(states * repeats)]
    recorded = recorded_of(pushes, VENUE)
    if with_rows:
        return recorded
    repetitions = Repetitions(venue_named(VENUE).repeated_topics, Clock(monotonic_s=lambda: now_s))
    found = []
    for one in recorded:
        now_s += STEP_S * 4
        is_repeated = repetitions.is_one(read_frame(venue_named(VENUE), one.frame.payload))
        found.append(Recorded(one.frame._replace(source=REPEATED), ()) if is_repeated else one)
    return found


def _state(size: int, number: int) -> bytes:
    positions = [_position(f"COIN{place}", size) for place in range(POSITIONS)]
    totals = {"accountValue": "1048.35", "totalNtlPos": "5120.45", "totalRawUsd": "-4072.1", "totalMarginUsed": "512.0"}
    state = {
        "marginSummary": totals,
        "crossMarginSummary": totals,
        "crossMaintenanceMarginUsed": "51.2",
        "withdrawable": "536.35",
        "assetPositions": positions,
        "time": 1_795_800_000_000 + number * 5_000,
    }
    data = {"user": "0x5e11aa00000000000000000000000000000000a1", "clearinghouseStates": [["", state]]}
    return json.dumps({"channel": "allDexsClearinghouseState", "data": data}, separators=(",", ":")).encode()


def _position(coin: str, size: int) -> dict[str, object]:
    position = {
        "coin": coin,
        "szi": f"{size}.0",
        "leverage": {"type": "cross", "value": 10},
        "entryPx": "102.409",
        "positionValue": "102.41",
        "unrealizedPnl": "0.001",
        "returnOnEquity": "0.0001",
        "liquidationPx": "91.2045",
        "marginUsed": "10.241",
        "maxLeverage": 40,
        "cumFunding": {"allTime": "1.2", "sinceOpen": "0.3", "sinceChange": "0.1"},
    }
    return {"type": "oneWay", "position": position}
