"""A WebSocket text frame as bytes (RFC 6455, section 5.2): whole, unmasked, as servers send them.

Made here and not by the library, so that hundreds can go out in one write, a frame can stop half-way, and text need not
be UTF-8.
"""


def text_frame(payload: bytes) -> bytes:
    """One unfragmented text frame of any bytes."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
