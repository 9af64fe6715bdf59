"""The floors of the house: a file imports only from floors below its own, and siblings do not import each other.

Imports inside functions count as well. The package `recorder` itself may be imported from anywhere, for its version and
its folder; it reaches up, but only inside functions.
"""

import ast
import re
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import recorder
from recorder.cli.commands import COMMANDS

TOP = Path(recorder.__file__).parent
LINES_MAX = 400

FLOORS = (
    ("errors", "clock", "model"),
    ("venues",),
    ("store", "wire"),
    ("read",),
    ("audit",),
    ("live", "replay", "export", "report", "backtest", "config_file"),
    ("config", "simulator"),
    ("cli", "__main__"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

#: What is started or imported from outside: by Python, by the wheel's script, by name when its command is called, by a
#: user's own tests.
ENTRY_POINTS = {
    "recorder",
    "recorder.__main__",
    "recorder.cli",
    *(f"recorder.cli.{module}" for module, _ in COMMANDS.values()),
    "recorder.simulator.faults",
    *(f"recorder.backtest.{package}" for package in ("history", "vectorbt", "hftbacktest", "nautilus", "returns")),
}


#: Functions of the package → what stands behind them.
DOORS = {"recorder.open": "recorder.read"}


def name_of(path: Path) -> str:
    parts = path.relative_to(TOP.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(TOP.rglob("*.py")) if "migrations" not in path.relative_to(TOP).parts}


def room(module: str) -> str:
    """The file or folder right under `recorder/` that a module lies in; nothing where it is not inside."""
    package, _, inside = module.partition(".")
    return inside.split(".")[0] if package == "recorder" else ""


def imports(tree: ast.AST) -> set[str]:
    """Every module that a tree imports, wherever the import stands: the deepest that is a file, if it is ours."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "an import says in full where from"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(DOORS.get(inner) or (inner if inner in FILES else str(node.module)))
    return found


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text())


@cache
def imports_of(module: str) -> set[str]:
    return imports(tree_of(module))


def ours(module: str) -> set[str]:
    return {name for name in imports_of(module) if room(name)}


def test_every_room_has_a_floor() -> None:
    assert {room(module) for module in FILES} - {""} <= FLOOR.keys()
    assert FILES.keys() >= {"recorder", "recorder.model", "recorder.venues.fmex.decode", "recorder.store.schema"}


@pytest.mark.parametrize("module", [module for module in FILES if room(module)])
def test_a_file_imports_only_from_floors_below(module: str) -> None:
    mine = room(module)
    others = {name for name in ours(module) if room(name) != mine}
    assert {name for name in others if FLOOR[room(name)] >= FLOOR[mine] and mine != "__main__"} == set()
    unknown = (
        {name for name in imports_of(module) if name.split(".")[0] == "recorder"} - FILES.keys() - {"recorder.read"}
    )
    assert unknown == set()


def test_the_package_reaches_up_only_to_the_reads_and_only_inside_functions() -> None:
    assert {room(name) for name in ours("recorder")} <= {"read"}
    at_import = [node for node in tree_of("recorder").body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {name for node in at_import for name in imports(node) if room(name)} == set()


@pytest.mark.parametrize("folder", sorted({room(module) for module in FILES} - {""}))
def test_no_folder_imports_in_a_circle(folder: str) -> None:
    graph = {
        module: {name for name in ours(module) if room(name) == folder} for module in FILES if room(module) == folder
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_no_module_is_dead() -> None:
    used = {name for module in FILES for name in ours(module) if name != module}
    packages = {module for module, path in FILES.items() if path.name == "__init__.py"}
    assert FILES.keys() - used - packages - ENTRY_POINTS == set()
    assert FILES.keys() >= ENTRY_POINTS


def test_the_ground_floor_needs_nothing_but_python() -> None:
    for module in FLOORS[0]:
        assert {name.split(".")[0] for name in imports_of(f"recorder.{module}")} <= sys.stdlib_module_names


@pytest.mark.parametrize("module", [module for module in FILES if room(module) == "venues"])
def test_a_venue_is_pure(module: str) -> None:
    outside = {name.split(".")[0] for name in imports_of(module)} - sys.stdlib_module_names
    assert outside <= {"recorder", "msgspec", "cryptography"}
    assert not imports_of(module) & {"socket", "ssl", "select", "asyncio", "threading", "time", "http.client", "os"}


@pytest.mark.parametrize(
    "path", [*FILES.values(), *(TOP.parent / "migrations").rglob("*.py")], ids=lambda path: path.stem
)
def test_a_file_holds_one_idea(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LINES_MAX


def _depends_on_the_locale(call: ast.Call) -> bool:
    """Whether a call opens a text file without an encoding."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    texts = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    if any(keyword.arg in {"encoding", "mode"} for keyword in call.keywords) or "utf-8" in texts:
        return False
    if name in {"read_text", "write_text"}:
        return True
    # Without a mode it is text, but `open` of something that is no file has arguments of other kinds.
    return name in {"open", "fdopen"} and (not call.args or any(set(text) <= set("rwxat+") for text in texts))


@pytest.mark.parametrize(
    "path",
    [*FILES.values(), *(TOP.parent / "examples").rglob("*.py")],
    ids=lambda path: f"{path.parent.stem}-{path.stem}",
)
def test_text_files_are_utf_8_whatever_the_locale(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call)]
    assert [call.lineno for call in calls if _depends_on_the_locale(call)] == []


#: Every function that deletes rows or empties frames → what that follows from. The journal itself only loses payloads.
DELETING = {
    "store.event_log._redact": "an entry: see `APPLYING`",
    "store.stale.forget": "projections, of typed rows that are being deleted or made again",
    "store.snapshots.forget": "snapshots, which are made again",
    "store.identity.write": "the file's own location, which is replaced",
    "audit.verify.rebuilding._rebuild_some": "typed rows, made again from their frames; not of erased frames",
    "audit.verify.rebuilding.rebuild_after_upgrade": "the note that this is due",
    "read.projected_rows.store": "projections, computed from typed rows",
    "read.projector._project_stale": "the note that projections are to be computed again",
    "read.payments.replace_ledgers": "projections, computed from typed rows",
    "read.current_states.replace_states": "projections, computed from typed rows",
}
#: Who applies entries → why those are what was sealed.
APPLYING = {
    "store.journal": "seals them in the same transaction",
    "store.mover": "has compared them with their seals before",
    "audit.verify.event_log": "applies them to a scratch database of its own",
}
_DELETES = re.compile(r"\b(DELETE\s+FROM|DROP\s+TABLE|TRUNCATE\s+TABLE)\b")


def _deletes(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id == "delete"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in {"drop_all", "delete"} and not node.args
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(_DELETES.search(node.value))


def test_only_what_is_listed_deletes_rows() -> None:
    found = {
        f"{module.removeprefix('recorder.')}.{function.name}"
        for module in FILES
        if room(module) in {"store", "read", "audit", "live", "cli"}
        for function in ast.walk(tree_of(module))
        if isinstance(function, ast.FunctionDef) and any(map(_deletes, ast.walk(function)))
    }
    assert found == DELETING.keys()


def test_only_sealed_entries_are_applied() -> None:
    applying = {
        module.removeprefix("recorder.")
        for module in FILES
        for node in ast.walk(tree_of(module))
        if (isinstance(node, ast.Attribute) and ast.unparse(node) == "event_log.apply")
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "recorder.store.event_log"
            and "apply" in {alias.name for alias in node.names}
        )
    }
    assert applying == APPLYING.keys()
