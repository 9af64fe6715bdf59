"""FMex's stand-in decides on a request."""

from urllib.parse import urlencode

from recorder.venues.fmex import sign
from recorder.venues.fmex.commands import PUSH_PATH
from recorder.venues.fmex.stand_in import FMexStandIn
from recorder.venues.stand_in import Admitted

NOW_MS = 1_580_800_000_000


def test_who_is_let_in_is_known_by_the_key_and_what_else_was_asked_without_what_proved_it() -> None:
    door = FMexStandIn().door({"main": "s"}.get, lambda: NOW_MS)
    proofs = sign.credentials("main", "s", "GET", f"http://x{PUSH_PATH}", NOW_MS)
    query = urlencode(proofs | {"since": "2020-02-04T07:40", "speed": "max"})
    expected = Admitted("main", {"since": "2020-02-04T07:40", "speed": "max"})
    assert door.knock("GET", f"{PUSH_PATH}?{query}", {}, "http://x") == expected
