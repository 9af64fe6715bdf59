"""The command line. Errors end here: one sentence on standard error, and the exit code that the error names."""

import sys

from recorder.errors import RecorderError


def main() -> None:
    """The program `recorder`."""
    from recorder.cli.commands import recorder  # noqa: PLC0415  an import of the package alone stays light

    try:
        recorder(prog_name="recorder")
    except RecorderError as error:
        print(f"recorder: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone, as with `| head`: nothing is wrong, and nobody is left to tell.
        sys.stderr.close()
        sys.exit(0)
