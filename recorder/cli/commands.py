"""The tree of commands. Each is in a module of its own, imported when it is called: `recorder --help` is quick."""

from importlib import import_module

import click

import recorder as package

#: Purpose → command → its module, and its line in the help.
GROUPS = {
    "Record": {
        "demo": ("demo", "Record a simulated exchange for a few seconds and show the result."),
        "init": ("init", "Write a configuration: exchange, account, and where its credentials are."),
        "doctor": ("doctor", "Check everything that a run needs, and say what to do."),
        "run": ("run", "Record until stopped, or for a time."),
        "reconcile": ("reconcile", "Reconcile gaps with the exchange again."),
        "backfill": ("backfill", "Ask the exchange for history from before the record."),
        "simulate": ("simulate", "Run a simulated exchange, for this recorder or your own programs."),
    },
    "Look": {
        "status": ("status", "The record at a glance: sessions, coverage, undecoded frames."),
        "orders": ("look", "Orders: latest state, open ones, or every update."),
        "fills": ("look", "Trade history: each fill once."),
        "positions": ("look", "Positions: latest state, or every state."),
        "balances": ("look", "Balances: latest, all, or as a chart."),
        "transactions": ("books", "Transactions: every movement of money, once."),
        "pnl": ("trade", "Profit and loss, net of fees and funding, by period."),
        "fees": ("trade", "Fees, and maker and taker quantities, by period."),
        "funding": ("trade", "Funding received and paid, by period."),
        "trips": ("trade", "Round trips: entry, exit, fees and profit of each."),
        "timeline": ("look", "Everything that happened to an order, or around a gap."),
        "gaps": ("look", "Periods in which pushes may have been missed."),
        "discrepancies": ("look", "Where the exchange contradicts its own pushes."),
        "books": ("books", "How each balance changed, and what explains it."),
        "report": ("report", "The whole record of a period as one HTML page."),
        "compare": ("compare", "Compare a backtest's fills with the recorded ones."),
        "decode": ("decode", "Print what a venue's frames say, without a record."),
    },
    "Prove": {
        "verify": ("verify", "Verify that nothing has changed since it was recorded."),
        "keys": ("prove", "Make and show keys that sign checkpoints."),
        "checkpoint": ("prove", "Sign the present state of the record."),
        "verify-proof": ("prove", "Check a proof of one frame, without the record."),
    },
    "Take out": {
        "export": ("export", "Write tables as Parquet, CSV or JSON lines."),
        "replay": ("replay", "Print the record as JSON lines, at any speed."),
        "serve": ("serve", "Serve the record as an exchange, for existing bots."),
        "redact": ("redact", "Erase payloads for good; the seals still hold."),
    },
    "Maintain": {
        "merge": ("merge", "Copy another record, or a journal, into this one."),
        "rebuild": ("verify", "Decode the frames again and repair the typed tables."),
        "db": ("db", "Check and upgrade the database; recorders and API keys."),
        "completion": ("completion", "Print the completion of commands for bash, zsh or fish."),
    },
}
#: Command → its module, and its line in the help.
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"recorder.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS)) + 2
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width - 2), line) for name, (_, line) in commands.items()])


@click.command(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 success, 1 a finding, 2 wrong usage, configuration or database, 70 a bug in recorder, "
    "141 the reader of the output closed it. `recorder COMMAND --help` describes a command with an example.",
)
@click.version_option(package.__version__, prog_name="recorder")
def recorder() -> None:
    """Record everything an exchange says about your account, in SQL.

    \b
    Begin with:   recorder demo
    Then:         recorder init, recorder doctor, recorder run
    """
