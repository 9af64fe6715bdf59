"""Twenty accounts of all venues in one process: every push is durable, and memory and threads are bounded."""

from collections import Counter
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path

from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.sent import NOBODY
from recorder.venues import VENUES, venue_named
from tests.integration.process import PATIENCE_S, Folder

ACCOUNTS = 20
#: Of each account.
PUSHES = 100
#: With one account it takes 75 MB, and some 7 more for each other one while all read the record at once.
MEMORY_MAX = 350_000_000
#: Those of the program and of its database.
OTHER_THREADS = 4


def numbered_key(key: str, number: int) -> str:
    """A key of the same form as another one."""
    return f"{key[:-2]}{number:02}"


def exchange_of(venue: str, accounts: int) -> Simulator:
    """A simulated exchange with several accounts."""
    key, secret = venue_named(venue).stand_in.default_account
    keys = {numbered_key(key, number): secret for number in range(accounts)}
    return Simulator(SimulatorOptions(venue=venue, accounts=keys, pushes=PUSHES, rate_per_s=100, live_clock=True))


def threads_of(pid: int) -> int:
    """How many threads a process has (proc(5))."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def sent_by(exchange: Simulator, *, pushes_only: bool = False) -> Counter[bytes]:
    """What it sent to clients; an answer to a subscription can look like a push."""
    sent = (one for one in exchange.sent if one.connection != NOBODY)
    return Counter(one.payload for one in sent if one.kind == "push" or not pushes_only)


def stored(folder: Folder, venue: str) -> Counter[bytes]:
    """The pushes of a venue that are durable."""
    sql = "SELECT payload FROM frames JOIN accounts USING (account_id) WHERE venue = ? AND source = 'push'"
    return Counter(payload for (payload,) in folder.rows(sql, venue))


def test_twenty_accounts_of_all_venues_in_one_process(folder: Folder) -> None:
    folder.anew = True
    numbers = Counter(islice(cycle(VENUES), ACCOUNTS))
    folder.write("")
    with ExitStack() as stack:
        exchanges = {venue: stack.enter_context(exchange_of(venue, number)) for venue, number in numbers.items()}
        for venue, exchange in exchanges.items():
            names = {f"{venue}_{number}": key for number, key in enumerate(exchange.options.accounts)}
            folder.add_accounts(exchange, names)
        with folder.run() as process:
            for exchange in exchanges.values():
                exchange.wait_finished(PATIENCE_S)
            sent = {venue: sent_by(exchange, pushes_only=True) for venue, exchange in exchanges.items()}
            process.wait_until(lambda: all(sent[venue] <= stored(folder, venue) for venue in sent))
            threads, memory = threads_of(process.pid), process.peak_bytes()
            assert process.stop()[0] == 0, process.errors
    for venue, its in sent.items():
        found = stored(folder, venue)
        assert its.total() > PUSHES // 2 * numbers[venue]
        assert its <= found
        assert Counter({payload: found[payload] for payload in its}) <= sent_by(exchanges[venue])
    ((connections,),) = folder.rows("SELECT count(*) FROM sessions")
    assert connections >= ACCOUNTS
    # A connection has a thread, and so have the REST of an account and the renewal of its token, if it has one.
    assert threads <= connections + 2 * ACCOUNTS + OTHER_THREADS
    assert memory <= MEMORY_MAX
    checked = folder.command("verify", "--quick")
    assert checked.returncode == 0, checked.stdout
