"""strace, to make a system call of the recorder its last, or fail."""

import shutil
from pathlib import Path

import pytest

#: For tests that need it. `.ci/run` installs it where it can.
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed on this machine")


def tracing(log: Path, calls: str) -> tuple[str, ...]:
    """The command to run a recorder under, to have its system calls written down with the paths of their files."""
    # -D: the recorder is our child and strace its grandchild, so that signals and the exit code are the recorder's.
    # No --seccomp-bpf: with it, signals are not injected (strace 6.1).
    return ("strace", "-D", "-f", "-y", "-qq", "-o", str(log), "-e", f"trace={calls}")


def injecting(log: Path, call: str, what: str, when: str) -> tuple[str, ...]:
    """The command to run a recorder under, to have a system call go wrong.

    Args:
        log: what strace writes.
        call: the system call meant, such as `pwrite64`.
        what: `signal=SIGKILL`, `error=EIO` or `error=ENOSPC`; it happens in place of the call.
        when: the how-manieth call of a thread: `7`, or `7..30`, or `7+` for all from there.
    """
    return (*tracing(log, call), "-e", f"inject={call}:{what}:when={when}")


def happened(log: Path) -> bool:
    """Whether the call came, and failed."""
    return "(INJECTED)" in log.read_text()
