"""FMex's server side, for the simulator and for a served record."""

from collections.abc import Collection, Mapping

from recorder.venues.fmex.rest import SERVER_TIME
from recorder.venues.fmex.stand_in import face
from recorder.venues.fmex.stand_in.conversation import FMexConversation
from recorder.venues.fmex.stand_in.rest import FMexRequestHandler


class FMexStandIn:
    """Implements `recorder.venues.stand_in.StandIn`."""

    default_symbols: tuple[str, ...] = ("btcusd_p",)
    default_account = ("demo-key", "demo-secret")
    public_paths: Collection[str] = frozenset([SERVER_TIME])
    terms = staticmethod(face.terms)
    funds = staticmethod(face.funds)
    face = face.FMexFace
    request_handler = FMexRequestHandler
    conversation = FMexConversation

    def credentials(self, key: str, secret: str) -> Mapping[str, str]:
        """Key and secret."""
        return {"key": key, "secret": secret}
