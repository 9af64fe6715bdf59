"""FMex's server side, for the simulator and for a served record."""

from collections.abc import Callable

from recorder.venues.fmex.stand_in.conversation import FMexConversation
from recorder.venues.fmex.stand_in.rest import FMexRequestHandler


class FMexStandIn:
    """Implements `recorder.venues.stand_in.StandIn`."""

    def request_handler(
        self, secret_of: Callable[[str], str | None], clock_ms: Callable[[], int]
    ) -> FMexRequestHandler:
        """REST, and handshakes on the push portal."""
        return FMexRequestHandler(secret_of, clock_ms)

    def conversation(self, has_topic: Callable[[str], bool], now_s: float, ping_timeout_s: float) -> FMexConversation:
        """Hello, subscriptions, refusals, pings."""
        return FMexConversation(has_topic, now_s, ping_timeout_s)
