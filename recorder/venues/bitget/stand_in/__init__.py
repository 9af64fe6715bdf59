"""Bitget's server side, for the simulator and for a served record."""

from collections.abc import Mapping

from recorder.venues.bitget.answers import INSTRUMENTS, TIME
from recorder.venues.bitget.stand_in import face
from recorder.venues.bitget.stand_in.conversation import BitgetConversation, passphrase_of
from recorder.venues.bitget.stand_in.rest import BitgetRequestHandler
from recorder.venues.stand_in import StandIn


class BitgetStandIn(StandIn):
    """Implements `recorder.venues.stand_in.StandIn`."""

    default_symbols = face.DEFAULT_SYMBOLS
    public_paths = frozenset([TIME, INSTRUMENTS])
    terms = staticmethod(face.terms)
    funds = staticmethod(face.funds)
    face = face.BitgetFace
    request_handler = BitgetRequestHandler
    conversation = BitgetConversation

    def credentials(self, key: str, secret: str) -> Mapping[str, str]:
        """Key, secret, and the passphrase that belongs to the secret."""
        return {"key": key, "secret": secret, "passphrase": passphrase_of(secret)}
