"""The command `netlodge`: a table of its subcommands, each imported only when it is called, so that `netlodge talk` starts at once.

Exit codes: 0 all went well; 1 a failure while running; 2 settings, usage or addresses that nothing was started with; 3 there is no
running lodge.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import IO, Any, Final

import click

from netlodge import __version__
from netlodge.cli.errors import NothingStartedError
from netlodge.config.errors import SettingsError
from netlodge.core.errors import NetlodgeError

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "up": ("netlodge.cli.up:command", "Open the lodge: start every door that has an address."),
    "init": ("netlodge.cli.init:command", "Write a commented settings file and a small site."),
    "check": ("netlodge.cli.check:command", "Say what is wrong in a settings file; start nothing."),
    "settings": ("netlodge.cli.settings:command", "Explain the settings: all of them, or one."),
    "user": ("netlodge.cli.user:command", "Add, list and remove accounts; set passwords; make tokens."),
    "ca": ("netlodge.cli.ca:command", "Show, export and install the authority that signs the lodge's certificates."),
    "reload": (
        "netlodge.cli.control:reload",
        "Have a running lodge read its settings again.",
    ),
    "stop": ("netlodge.cli.control:stop", "Have a running lodge finish what it has begun, and end."),
    "status": ("netlodge.cli.control:status", "Show what a running lodge is doing."),
    "metrics": ("netlodge.cli.metrics:command", "Print the metrics of a running lodge, added up over its workers."),
    "trace": ("netlodge.cli.trace:command", "Show exchanges of a running lodge, live."),
    "har": ("netlodge.cli.har:command", "Write the latest exchanges to a HAR file."),
    "get": ("netlodge.cli.get:command", "Fetch a URL over HTTP, to standard output or a file."),
    "talk": ("netlodge.cli.talk:command", "Talk to a text protocol by hand, or listen to one."),
}
"""Name -> where the command is (`module:attribute`), and its line in the help. In the order in which the help has them."""

_EPILOG: Final = """\
\b
Exit codes: 0 all went well; 1 a failure while running; 2 settings, usage or an address in use: nothing was started;
3 no lodge runs there; 4 not permitted to ask it. What a command has more stands in its own help.

\b
Examples:
  netlodge up                    serve ./lodge, made on first start
  netlodge up --files public     serve a folder
  netlodge settings limits       what a client may push against
"""


class _Failure(click.ClickException):
    """A foreseen failure while running: one sentence on standard error."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"netlodge: {self.message}", file=file, err=True)


class _Mistake(click.ClickException):
    """Settings that nothing was started with: a sentence per line, each beginning with its place, as editors like it."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file=file, err=True)


class LazyGroup(click.Group):
    """A group whose commands stand in `COMMANDS`. Help is written from the table; only a command that is called is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            matches = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=0.5)
            hint = f"did you mean '{matches[0]}'?" if matches else f"the commands are {', '.join(COMMANDS)}."
            ctx.fail(f"There is no command '{args[0]}'; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (SettingsError, NothingStartedError) as error:
            raise _Mistake(str(error)) from error
        except NetlodgeError as error:
            raise _Failure(str(error)) from error


@click.group(
    cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="netlodge", message="%(prog)s %(version)s")
def main() -> None:
    """Netlodge: one door for a network's web, shared cache, names and mail.

    `netlodge up` is all it takes to start. Everything is set in one file, everything is kept in one folder.
    """
