"""The most memory that something takes, in a process of its own."""

import subprocess
import sys
from pathlib import Path

#: The program, as its users call it.
PROGRAM = "from recorder.cli import main; main()"
#: proc(5), `VmHWM`, in KiB; what wait4 and getrusage tell is at least as much as the parent's.
_TELLS_ITS_PEAK = """
import sys
try:
    exec(sys.argv.pop(1))
finally:
    with open("/proc/self/status") as status:
        print(status.read().split("VmHWM:")[1].split()[0], file=sys.stderr)
"""


def peak_bytes(code: str, *arguments: str, folder: Path = Path()) -> int:
    """The most memory that a process held.

    Args:
        code: what it runs.
        arguments: of its command line.
        folder: where it runs.

    Raises:
        CalledProcessError: it failed.
    """
    command = [sys.executable, "-c", _TELLS_ITS_PEAK, code, *arguments]
    ended = subprocess.run(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True
    )
    return int(ended.stderr.split()[-1]) * 1024
