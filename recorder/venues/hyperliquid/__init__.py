"""Hyperliquid, an order book on a chain of its own, where everything an account does is public."""

from recorder.venues.hyperliquid import decode, rest


class Hyperliquid:
    """How its frames and answers are decoded. `recorder.venues.base.Venue` documents the members."""

    name = "hyperliquid"
    pushes_fills = True

    decode_answer = staticmethod(rest.decode_answer)
    decode_plain = staticmethod(decode.decode_plain)

    # Last: the name hides the module.
    decode = staticmethod(decode.decode)
