"""The tree of commands. Each lives in a module of its own, loaded when it is called: `recorder --help` is quick."""

from importlib import import_module

import click

import recorder as package

#: Command → where it lives, and its line in the help.
COMMANDS = {
    "demo": ("demo", "Watch it work: a simulated exchange, a recording, and a look at the result."),
    "run": ("run", "Record, until it is told to stop."),
    "reconcile": ("reconcile", "Ask the exchange again about gaps that are open or unrecoverable."),
    "status": ("look", "The record at a glance: sessions, coverage, what could not be decoded."),
    "orders": ("look", "The latest state of each order; --history for every update, --open for open ones."),
    "fills": ("look", "Trade history: every step in which an order filled further."),
    "positions": ("look", "The latest state of each position; --history for every state."),
    "balances": ("balances", "The latest balance of each currency; --history for all, --plot for a chart."),
    "pnl": ("trade", "What trading brought, by day, month or year."),
    "fees": ("trade", "What was traded and paid for it, as maker and taker, by month, day or year."),
    "trips": ("trade", "Round trips: average entry and exit, fees, and what each brought."),
    "timeline": ("timeline", "Everything that happened, step by step: to an order, or around a gap."),
    "gaps": ("look", "The stretches in which pushes may have been missed."),
    "discrepancies": ("look", "Where the exchange contradicted its own pushes, outside any gap."),
    "audit": ("audit", "A report for a person: how complete the record is, and what it holds, as one HTML page."),
    "books": ("books", "What each balance changed by, what explains it, and what does not."),
    "compare": ("compare", "Hold a backtest's fills against the recorded ones."),
    "merge": ("merge", "Move another recorder's record, or a journal, into this one."),
    "replay": ("replay", "The record again, as JSON lines, at its pace or another."),
    "serve": ("serve", "The record as an exchange: a portal that pushes it again, for bots written for its venue."),
    "checkpoint": ("checkpoint", "Sign what the record holds now, by hand."),
    "verify-proof": ("proof", "Check a proof of one frame, without the record."),
    "keys": ("keys", "Keys that sign checkpoints: make, show."),
    "redact": ("redact", "Take payloads away for good, for retention or on demand; the seals still hold."),
    "verify": ("verify", "Check that the record is as it was written, and name what is not."),
    "rebuild": ("rebuild", "Make typed rows again from the frames, as after an upgrade that reads more of them."),
    "export": ("export", "Tables of the record as Parquet, CSV or JSON lines, with a manifest of hashes."),
    "db": ("db", "The database's schema: upgrade, current, check."),
    "simulate": ("simulate", "An exchange to try things on, for this recorder or for your own programs."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"recorder.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package.__version__, prog_name="recorder")
def recorder() -> None:
    """Keeps your own record of what an exchange pushed about your account, in SQL.

    \b
    Begin with:   recorder demo
    Then:         recorder run --config recorder.toml
    """
