"""A push portal that sends as fast as the socket takes: `python -m tests.bench.blaster WIRE_FILE PORT_FILE`.

It is no exchange: to whoever connects it sends the same bytes.
"""

import base64
import hashlib
import socket
import sys
from pathlib import Path

#: RFC 6455, section 1.3.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CHUNK_BYTES = 1 << 20


def main() -> None:
    """Serve one client after the other."""
    wire = Path(sys.argv[1]).read_bytes()
    port_file = Path(sys.argv[2])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port_file.with_suffix(".next").write_text(str(server.getsockname()[1]))
        port_file.with_suffix(".next").replace(port_file)
        while True:
            client, _ = server.accept()
            with client:
                _serve(client, wire)


def _serve(client: socket.socket, wire: bytes) -> None:
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        request += client.recv(4096)
    if not request.startswith(b"GET /v2/user/ws"):
        client.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return
    lines = [line.partition(b":") for line in request.split(b"\r\n")]
    key = next(value.strip() for name, _, value in lines if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    try:
        for start in range(0, len(wire), CHUNK_BYTES):
            client.sendall(wire[start : start + CHUNK_BYTES])
        while client.recv(4096):
            pass
    except OSError:
        pass  # the client has gone


if __name__ == "__main__":
    main()
