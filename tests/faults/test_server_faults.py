"""What can happen to the server behind the journal, and to the way there: it is sent everything, each batch once.

The oracle is asked of the journal; and then the server must hold what the journal holds, row for row.
"""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from recorder.simulator import Simulator
from recorder.store.engine import open_engine
from tests.contract.story import contents
from tests.depth import size
from tests.faults.conftest import Report
from tests.faults.proxy import Proxy
from tests.faults.scene import COVERED, Scene
from tests.faults.served import AWAY, BACK, finish, send_the_rest, serve
from tests.integration.process import Folder, Process
from tests.server import PostgresServer


@pytest.fixture(scope="module")
def server(own_postgres: PostgresServer) -> PostgresServer:
    """A server that these tests may stop and kill."""
    return own_postgres


@pytest.fixture
def way(server: PostgresServer) -> Iterator[Proxy]:
    """The way there."""
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def served(scene: Scene, server: PostgresServer, way: Proxy) -> Scene:
    """A recorder with a database on the server, behind a proxy."""
    return serve(scene, server, way)


def again_and_again(scene: Scene, process: Process, times: int, harm: Callable[[], None]) -> None:
    """Do harm; each time wait until the server is sent to again, and more is durable."""
    for time in range(1, times + 1):
        harm()
        with scene.recovered():
            process.wait_for(BACK, time)
        scene.wait_more(process, 50)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_server_that_crashes_in_a_batch(served: Scene, server: PostgresServer, seed: int) -> None:
    random, downs = Random(seed), iter(range(1, 100))

    def crash() -> None:
        served.wait_more(process, random.randint(1, 120))
        server.stop("immediate")
        process.wait_for(AWAY, next(downs))
        server.start()

    with served.running() as process:
        again_and_again(served, process, 4, crash)
    finish(served, "server crashes in a batch")


@pytest.mark.parametrize("asked", [b"COMMIT", pytest.param(b"", marks=pytest.mark.long)])
def test_a_reply_of_the_server_s_is_lost(served: Scene, way: Proxy, asked: bytes) -> None:
    """At COMMIT nobody knows then whether it happened."""
    downs = iter(range(1, 100))

    def lose() -> None:
        with way.dropping_reply(asked):
            process.wait_for(AWAY, next(downs))

    with served.running() as process:
        served.wait_more(process, 100)
        again_and_again(served, process, size(8), lose)
    finish(served, "reply to COMMIT lost" if asked else "reply of the server lost")


@pytest.mark.long
@pytest.mark.parametrize("how", ["terminated", "reset", "cut"])
def test_connections_to_the_server_end(served: Scene, server: PostgresServer, way: Proxy, how: str) -> None:
    downs = iter(range(1, 100))

    def end() -> None:
        {"terminated": server.terminate_connections, "reset": way.reset, "cut": way.cut}[how]()
        process.wait_for(AWAY, next(downs))

    with served.running() as process:
        served.wait_more(process, 100)
        again_and_again(served, process, 5, end)
    finish(served, "connections to the server end")


@pytest.mark.long
@pytest.mark.parametrize("toxic", ["latency", "bandwidth", "slicer", "hold", "hanging"])
def test_a_slow_way_to_the_server_holds_nobody_up(
    served: Scene, server: PostgresServer, way: Proxy, toxic: str
) -> None:
    toxics = {
        "latency": lambda: way.latency(0.05),
        "bandwidth": lambda: way.bandwidth(100_000),
        "slicer": lambda: way.slicer(50),
        "hold": way.hold,
        "hanging": server.hanging,
    }
    with served.running() as process:
        served.wait_more(process, 50)
        with toxics[toxic]():
            # The journal is told of more, whatever the server does.
            served.wait_more(process, 1_000)
        served.goes_on(process)
    finish(served, "slow or frozen server")


@pytest.mark.long
def test_a_server_that_is_gone_for_long(served: Scene, server: PostgresServer) -> None:
    server.stop()
    with served.running() as process:
        served.wait_more(process, 3_000)
        server.start()
        with served.recovered():
            process.wait_for(BACK)
    finish(served, "server gone for long")


@pytest.mark.parametrize("kills", [2, pytest.param(6, marks=pytest.mark.long)])
def test_killed_while_it_sends(served: Scene, kills: int) -> None:
    random = Random(kills)
    for _ in range(kills):
        with served.run() as process:
            process.wait_for(COVERED)
            served.wait_more(process, random.randint(1, 400))
            process.send(signal.SIGKILL)
            process.wait()
    with served.restarted():
        pass
    finish(served, "killed while it sends")


@pytest.mark.long
@pytest.mark.parametrize("kills", [1, 4])
def test_two_recorders_of_one_account(
    served: Scene, server: PostgresServer, tmp_path: Path, exchange: Simulator, report: Report, kills: int
) -> None:
    """One is killed again and again; the other loses its connection. Together they are one record."""
    (tmp_path / "other").mkdir()
    other = Scene(Folder(tmp_path / "other"), exchange, report)
    other.server = served.server
    other.configure()
    with served.running() as process:
        for _ in range(kills):
            with other.run() as victim:
                victim.wait_for(COVERED)
                other.wait_more(victim, 100)
                with served.recovery(process):
                    exchange.drop_connections()
                other.wait_more(victim, 100)
                victim.send(signal.SIGKILL)
                victim.wait()
            served.wait_more(process, 50)
        with other.restarted():
            pass
    for one in (served, other):
        send_the_rest(one)
        one.finish("two recorders, one killed")
    both = open_engine(str(served.server), read_only=True)
    merged = contents(both)
    assert len(merged["recorders"]) == 2
    assert merged["discrepancies"] == []
    assert sum(row.same for row in merged["comparisons"]) > 0
    frames = []
    for one in (served, other):
        engine = open_engine(f"sqlite:///{one.folder.database}", read_only=True)
        frames += contents(engine)["frames"]
        engine.dispose()
    assert merged["frames"] == sorted(frames)
    with both.connect() as connection:
        query = "SELECT count(*), count(DISTINCT (order_id, status, filled_quantity, fee, event_ms)) FROM order_history"
        rows, different = connection.exec_driver_sql(f"{query} WHERE event_ms IS NOT NULL").one()
    assert rows == different > 0
    both.dispose()
