"""A push portal that sends the same frames to everyone who connects, as fast as the socket takes or at a given rate.

`blaster` starts it in a process of its own: `python -m tests.bench.blaster PLAN_FILE PORT_FILE`.
"""

import base64
import hashlib
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

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
    port_file, plan_file = folder / "port", folder / "plan"
    port_file.unlink(missing_ok=True)
    sockets = []
    for number, one in enumerate(opening.sockets):
        wire_file = folder / f"wire-{number}"
        frames = (*one.answers, *pushes) if number == 0 else one.answers
        wire_file.write_bytes(b"".join(text_frame(payload) for payload in frames))
        sockets.append({"path": one.path, "wire": str(wire_file), "answers": len(one.answers)})
    plan_file.write_text(json.dumps({"sockets": sockets, "rest": opening.rest, "per_s": per_s, "burst": burst}))
    command = [sys.executable, "-m", "tests.bench.blaster", str(plan_file), str(port_file)]
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
    """Serve all clients."""
    plan = json.loads(Path(sys.argv[1]).read_text())
    port_file = Path(sys.argv[2])
    for one in plan["sockets"]:
        one["wire"] = Path(one["wire"]).read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port_file.with_suffix(".next").write_text(str(server.getsockname()[1]))
        port_file.with_suffix(".next").replace(port_file)
        while True:
            client, _ = server.accept()
            threading.Thread(target=_attend, args=(client, plan), daemon=True).start()


def _attend(client: socket.socket, plan: dict[str, Any]) -> None:
    with client, suppress(OSError):
        one = _accept(client, plan)
        if one is not None:
            _serve(client, one["wire"], one["answers"], plan["per_s"], plan["burst"])


def _accept(client: socket.socket, plan: dict[str, Any]) -> dict[str, Any] | None:
    """Accept a client on one of the sockets; answer a request for a token, and refuse every other one."""
    request = b""
    while b"\r\n\r\n" not in request:
        received = client.recv(4096)
        if not received:
            return None
        request += received
    path = request.split(b" ", 2)[1].partition(b"?")[0].decode()
    found: dict[str, Any] | None = next((one for one in plan["sockets"] if one["path"] == path), None)
    if found is None:
        body = plan["rest"].get(path)
        status = "429 Too Many Requests" if body is None else "200 OK"
        payload = (body or "").encode()
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
        client.sendall(head.encode() + payload)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):  # a body; closing before it is read would reset the connection
            pass
        return None
    lines = [line.partition(b":") for line in request.split(b"\r\n")]
    key = next(value.strip() for name, _, value in lines if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    return found


def _serve(client: socket.socket, wire: bytes, answers: int, per_s: float, burst: int) -> None:
    if per_s:
        _send_paced(client, wire, answers, per_s, burst)
    else:
        for start in range(0, len(wire), CHUNK_BYTES):
            client.sendall(wire[start : start + CHUNK_BYTES])
    while client.recv(4096):
        pass


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
