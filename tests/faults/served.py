"""Scenes with a server's database behind the journal."""

from recorder.store.engine import open_engine
from tests.contract.story import contents
from tests.faults.proxy import Proxy
from tests.faults.scene import Scene
from tests.server import PostgresServer

#: What the log says when an outage of the server begins, and when it is over.
AWAY, BACK = "The journal has everything", "answers again"


def serve(scene: Scene, server: PostgresServer, way: Proxy) -> Scene:
    """Give a scene a database on the server, behind a proxy."""
    database = server.new_database(empty=True).rpartition("/")[2]
    scene.server = server.url(database, port=way.port)
    scene.configure()
    return scene


def send_the_rest(scene: Scene) -> None:
    """What a run had no time for, the next one would send; here a merge does."""
    merged = scene.folder.command("merge", str(scene.folder.database), str(scene.server))
    assert merged.returncode == 0, merged.stderr


def finish(scene: Scene, fault: str) -> None:
    """The oracle's verdict on the journal, and server and journal alike."""
    send_the_rest(scene)
    scene.finish(fault)
    journal = open_engine(f"sqlite:///{scene.folder.database}", read_only=True)
    server = open_engine(str(scene.server), read_only=True)
    assert contents(server) == contents(journal)
    for engine in (journal, server):
        engine.dispose()
