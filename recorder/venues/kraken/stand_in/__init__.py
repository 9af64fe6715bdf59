"""Kraken's server side, for the simulator and for a served record."""

from recorder.venues.kraken.answers import PAIRS, TIME
from recorder.venues.kraken.stand_in import face
from recorder.venues.kraken.stand_in.conversation import KrakenConversation
from recorder.venues.kraken.stand_in.rest import ASSETS, KrakenRequestHandler
from recorder.venues.stand_in import StandIn


class KrakenStandIn(StandIn):
    """Implements `recorder.venues.stand_in.StandIn`."""

    default_symbols = face.DEFAULT_SYMBOLS
    #: Secrets are base64.
    default_account = ("demo-key", "ZGVtby1zZWNyZXQtb2YtYS1zaW11bGF0ZWQtYWNjb3VudA==")
    public_paths = frozenset([TIME, PAIRS, ASSETS])
    terms = staticmethod(face.terms)
    funds = staticmethod(face.funds)
    face = face.KrakenFace
    request_handler = KrakenRequestHandler
    conversation = KrakenConversation
