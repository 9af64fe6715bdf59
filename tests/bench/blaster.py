"""A push portal that sends the same frames to everyone who connects, as fast as the socket takes or at a given rate.

`blaster` starts it in a process of its own:
`python -m tests.bench.blaster WIRE_FILE PORT_FILE PATH ANSWERS RATE BURST`.
"""

import base64
import hashlib
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from recorder.wire.client import text_frame
from tests.bench.opening import Opening

#: RFC 6455, section 1.3.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CHUNK_BYTES = 1 << 20


@contextmanager
def blaster(folder: Path, opening: Opening, pushes: Sequence[bytes], per_s: float = 0, burst: int = 1) -> Iterator[int]:
    """Run the portal.

    Args:
        folder: for its files.
        opening: how a connection begins; its answers are sent without waiting for commands.
        pushes: what it sends after its answers.
        per_s: how many a second, at random moments; 0: as fast as the socket takes.
        burst: how many at the same moment.

    Yields:
        Its port.
    """
    port_file, wire_file = folder / "port", folder / "wire"
    port_file.unlink(missing_ok=True)
    wire_file.write_bytes(b"".join(text_frame(payload) for payload in (*opening.answers, *pushes)))
    command = [sys.executable, "-m", "tests.bench.blaster", str(wire_file), str(port_file)]
    command += [opening.path, str(len(opening.answers)), str(per_s), str(burst)]
    process = subprocess.Popen(command)
    try:
        while not port_file.exists():
            if process.poll() is not None:
                raise RuntimeError("the blaster did not start")
            time.sleep(0.05)
        yield int(port_file.read_text())
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Serve one client after the other."""
    wire = Path(sys.argv[1]).read_bytes()
    port_file = Path(sys.argv[2])
    path, answers = sys.argv[3].encode(), int(sys.argv[4])
    per_s, burst = float(sys.argv[5]), int(sys.argv[6])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port_file.with_suffix(".next").write_text(str(server.getsockname()[1]))
        port_file.with_suffix(".next").replace(port_file)
        while True:
            client, _ = server.accept()
            with client:
                if _accept(client, path):
                    _serve(client, wire, answers, per_s, burst)


def _accept(client: socket.socket, path: bytes) -> bool:
    """Accept a client on the push address, refuse every other request."""
    request = b""
    while b"\r\n\r\n" not in request:
        received = client.recv(4096)
        if not received:
            return False
        request += received
    if request.split(b" ", 2)[1].partition(b"?")[0] != path:
        client.sendall(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while client.recv(4096):  # a body; closing before it is read would reset the connection
                pass
        return False
    lines = [line.partition(b":") for line in request.split(b"\r\n")]
    key = next(value.strip() for name, _, value in lines if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    return True


def _serve(client: socket.socket, wire: bytes, answers: int, per_s: float, burst: int) -> None:
    try:
        if per_s:
            _send_paced(client, wire, answers, per_s, burst)
        else:
            for start in range(0, len(wire), CHUNK_BYTES):
                client.sendall(wire[start : start + CHUNK_BYTES])
        while client.recv(4096):
            pass
    except OSError:
        pass  # the client has gone


def _send_paced(client: socket.socket, wire: bytes, answers: int, per_s: float, burst: int) -> None:
    ends = _frame_ends(wire)
    begin = ends[answers - 1]
    client.sendall(wire[:begin])
    moments = random.Random(1)
    due_s = time.monotonic()
    pushes = ends[answers:]
    for last in range(burst - 1, len(pushes) + burst - 1, burst):
        due_s += moments.expovariate(per_s / burst)
        time.sleep(max(due_s - time.monotonic(), 0))
        end = pushes[min(last, len(pushes) - 1)]
        client.sendall(wire[begin:end])
        begin = end


def _frame_ends(wire: bytes) -> list[int]:
    """Where each frame ends. None is masked, or as long as 65,536 bytes."""
    ends, at = [], 0
    while at < len(wire):
        size = wire[at + 1]
        at += 2 + size if size < 126 else 4 + int.from_bytes(wire[at + 2 : at + 4], "big")
        ends.append(at)
    return ends


if __name__ == "__main__":
    main()
