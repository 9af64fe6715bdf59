"""How a venue declares the SQL views of its channels, which show every documented field under the venue's own name.

`recorder.store.venue_views` turns a declaration into SQL for SQLite or PostgreSQL.
"""

from typing import NamedTuple


class View(NamedTuple):
    """A view of one channel. Fields are written `name`, `name:int`, `name:flag`, or `column=path` where they differ."""

    name: str
    venue: str
    #: Which frames `f` are read: a condition that both engines understand.
    frames: str
    #: Fields of each object, in the order of the venue's documentation; a path's dots lead into nested objects, and a
    #: number is an index of a list.
    fields: str
    #: Where the object or the list is, as a path; "" is the frame itself.
    at: str = ""
    #: Fields of the frame around it.
    frame_fields: str = ""
    #: Whether the place holds a list of objects. A single object there counts as a list of one.
    is_list: bool = False
    #: Where the list is if there is nothing at `at`.
    or_at: str = ""
    #: The column for the names of the members, where the objects are the members of another object.
    member: str = ""
    #: Integer columns computed from the frame's topic: name → SQL expression of a text, understood by both engines.
    computed: dict[str, str] = {}  # noqa: RUF012 - frozen like the rest


#: Which frames are answers to REST requests.
ANSWERS = "f.source IN ('rest', 'snapshot')"
#: Frames that are pushes, of a topic that repeats states.
REPEATING = "f.source IN ('push', 'repeated')"


def answers(*paths: str) -> str:
    """Which frames are the answers to requests of these paths, with any query."""
    any_of = " OR ".join(f"f.topic = '{path}' OR substr(f.topic, 1, {len(path) + 1}) = '{path}?'" for path in paths)
    return f"{ANSWERS} AND ({any_of})"
