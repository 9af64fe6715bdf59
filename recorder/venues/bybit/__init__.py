"""Bybit (API v5, unified trading account): what its frames and REST answers say."""

from recorder.venues.bybit import answers, decode


class Bybit:
    """Reads what Bybit sends; `recorder.venues.base.Venue` documents the members."""

    name = "bybit"

    decode_answer = staticmethod(answers.decode_answer)
    decode_plain = staticmethod(decode.decode_plain)
    # Last: the name hides the module.
    decode = staticmethod(decode.decode)
