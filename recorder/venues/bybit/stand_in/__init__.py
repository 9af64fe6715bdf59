"""Bybit's server side, for the simulator and for a served record."""

from collections.abc import Collection, Mapping

from recorder.venues.bybit.answers import INSTRUMENTS, TIME
from recorder.venues.bybit.stand_in import face
from recorder.venues.bybit.stand_in.conversation import BybitConversation
from recorder.venues.bybit.stand_in.rest import BybitRequestHandler


class BybitStandIn:
    """Implements `recorder.venues.stand_in.StandIn`."""

    default_symbols: tuple[str, ...] = face.DEFAULT_SYMBOLS
    default_account = ("demo-key", "demo-secret")
    public_paths: Collection[str] = frozenset([TIME, INSTRUMENTS])
    terms = staticmethod(face.terms)
    funds = staticmethod(face.funds)
    face = face.BybitFace
    request_handler = BybitRequestHandler
    conversation = BybitConversation

    def credentials(self, key: str, secret: str) -> Mapping[str, str]:
        """Key and secret."""
        return {"key": key, "secret": secret}
