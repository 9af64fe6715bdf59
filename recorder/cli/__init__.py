"""The command line. Errors end here: one sentence on standard error, and an exit code.

Exit codes: 0 success; 1 a finding; 2 wrong usage, configuration or database; 70 a bug in recorder; 130 stopped by
Ctrl-C; 141 the reader of the output has gone, as with `| head`. docs/commands.md describes them.
"""

import logging
import os
import signal
import sys
import traceback
from io import TextIOWrapper
from types import FrameType

from recorder.errors import InternalError, RecorderError

INTERRUPTED, OUTPUT_CLOSED = 128 + signal.SIGINT, 128 + signal.SIGPIPE


def main() -> None:
    """The program `recorder`."""
    _fill_standard_streams()
    _accept_all_characters()
    signal.signal(signal.SIGINT, _interrupt)
    try:
        code = _run()
        sys.stdout.flush()  # here, where an error can still be reported
    except BrokenPipeError:
        code = OUTPUT_CLOSED
    except InternalError as error:
        traceback.print_exception(error.__cause__ or error)
        code = _report(error, error.exit_code)
    except RecorderError as error:
        code = _report(error, error.exit_code)
    except OSError as error:
        _discard_output()
        place = f"{error.filename}: " if error.filename else ""
        code = _report(f"{place}{error.strerror or error}; check the free space and the permissions there.", 2)
    except Exception:  # noqa: BLE001  reported with what is needed to find it
        traceback.print_exc()
        code = _report("Recorder has a bug and stopped; report it with the lines above.", InternalError.exit_code)
    if code == OUTPUT_CLOSED:
        _discard_output()
    sys.exit(code)


def _run() -> int:
    """Run the command; returns the exit code."""
    import click  # noqa: PLC0415  an import of the package alone stays light

    from recorder.cli.commands import recorder  # noqa: PLC0415

    stdout, stderr = sys.stdout, sys.stderr
    try:
        return int(recorder.main(prog_name="recorder", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return _report("Stopped.", INTERRUPTED)
    except SystemExit:
        # Click turns a broken pipe into exit code 1, which here would mean a finding; and replaces both streams.
        if sys.stdout is stdout:
            raise
        sys.stdout, sys.stderr = stdout, stderr
        return OUTPUT_CLOSED


def _report(message: object, exit_code: int) -> int:
    try:
        print(f"recorder: {message}", file=sys.stderr)  # noqa: T201
    except OSError:
        _discard_output()
    return exit_code


def _fill_standard_streams() -> None:
    """Open /dev/null for each closed standard stream: a database file must not get its number, and be printed into."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def _accept_all_characters() -> None:
    """Print a character that the terminal's encoding lacks as an escape, such as `\\u6bd4`, instead of failing."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Send what is still buffered to /dev/null: Python would try to write it again, and complain, when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(null, stream.fileno())


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Stop at the first Ctrl-C, and at once at the second."""
    # Libraries would report what was cut off; it is what was asked for.
    logging.disable()
    sys.unraisablehook = lambda _unraisable: None
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    raise KeyboardInterrupt
