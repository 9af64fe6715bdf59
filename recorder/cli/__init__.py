"""The command line. Errors end here: one sentence on standard error, and the exit code that the error names."""

import os
import sys
import traceback

from recorder.errors import InternalError, RecorderError


def main() -> None:
    """The program `recorder`."""
    from recorder.cli.commands import recorder  # noqa: PLC0415  an import of the package alone stays light

    try:
        try:
            recorder(prog_name="recorder")
        finally:
            sys.stdout.flush()  # here, where what it meets can be told
    except InternalError as error:
        traceback.print_exception(error.__cause__ or error)
        _end(error, error.exit_code)
    except RecorderError as error:
        _end(error, error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone, as with `| head`: nothing is wrong, and nobody is left to tell.
        _let_go_of_output()
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        _let_go_of_output()
        place = f"{error.filename}: " if error.filename else ""
        _end(f"The system refused: {place}{error.strerror or error}; look at the room and the rights there.", 2)
    except Exception:  # noqa: BLE001  told, with what is needed to find it
        traceback.print_exc()
        _end("Recorder has a bug and stopped; report it with the lines above.", InternalError.exit_code)


def _end(told: object, exit_code: int) -> None:
    print(f"recorder: {told}", file=sys.stderr)  # noqa: T201
    sys.exit(exit_code)


def _let_go_of_output() -> None:
    """What is still buffered cannot be written: or else Python tries again when it ends, and complains."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
