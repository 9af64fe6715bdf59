"""Hyperliquid's server side, for the simulator and for a served record."""

import re
from collections.abc import Mapping

from recorder.venues.hyperliquid.questions import PATH
from recorder.venues.hyperliquid.stand_in import face
from recorder.venues.hyperliquid.stand_in.conversation import HyperliquidConversation
from recorder.venues.hyperliquid.stand_in.rest import HyperliquidRequestHandler
from recorder.venues.stand_in import StandIn

#: How subscriptions and pushes name their account.
_USER = re.compile(rb'"user": ?"(0[xX][0-9a-fA-F]{40})"')


class HyperliquidStandIn(StandIn):
    """The key of an account is its address; there is no secret."""

    default_symbols = face.DEFAULT_SYMBOLS
    default_account = ("0x5e11a9b0c4d2f7e83a6b1c0d9e8f7a6b5c4d3e2f", "none")
    public_paths = frozenset([PATH])
    terms = staticmethod(face.terms)
    funds = staticmethod(face.funds)
    face = face.HyperliquidFace
    request_handler = HyperliquidRequestHandler
    conversation = HyperliquidConversation

    def credentials(self, key: str, secret: str) -> Mapping[str, str]:
        """The address."""
        return {"address": key}

    def key_in(self, payload: bytes) -> str | None:
        """The address that a subscription or a push names."""
        found = _USER.search(payload)
        return None if found is None else found[1].decode().lower()
