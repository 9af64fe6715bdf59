"""OKX's server side, for the simulator and for a served record."""

from collections.abc import Mapping

from recorder.venues.okx.answers import INSTRUMENTS, TIME
from recorder.venues.okx.stand_in import face
from recorder.venues.okx.stand_in.conversation import OKXConversation, passphrase_of
from recorder.venues.okx.stand_in.rest import OKXRequestHandler
from recorder.venues.stand_in import StandIn


class OKXStandIn(StandIn):
    """Implements `recorder.venues.stand_in.StandIn`."""

    default_symbols = face.DEFAULT_SYMBOLS
    public_paths = frozenset([TIME, INSTRUMENTS])
    dated_symbols = staticmethod(face.dated_symbols)
    terms = staticmethod(face.terms)
    funds = staticmethod(face.funds)
    face = face.OKXFace
    request_handler = OKXRequestHandler
    conversation = OKXConversation

    def credentials(self, key: str, secret: str) -> Mapping[str, str]:
        """Key, secret, and the passphrase that belongs to the secret."""
        return {"key": key, "secret": secret, "passphrase": passphrase_of(secret)}
