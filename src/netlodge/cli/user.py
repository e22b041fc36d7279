"""`netlodge user`: the accounts that people and programs log in with, and their tokens. Works on the database, whether the lodge runs
or not; what runs takes up a change within seconds.

A password is asked for at the terminal, or read from standard input. It is never an argument: those are seen by everyone on the machine.
"""

from __future__ import annotations

import getpass
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import sqlalchemy

from netlodge.cli.data_folder import prepare
from netlodge.config.errors import SettingValueError
from netlodge.config.loading import Sources, load
from netlodge.config.quantities import Duration
from netlodge.config.settings import Settings
from netlodge.core.account_names import AccountNameError, normal_name
from netlodge.net.privileges import account_to_become, drop
from netlodge.store import accounts
from netlodge.store.database import Database
from netlodge.store.password_rules import LONGEST, complaint_about
from netlodge.store.passwords import Passwords

T = TypeVar("T")

_ATTEMPTS: Final = 3
"""How often somebody at a terminal may choose another password."""
_LABEL_LENGTH: Final = 64

_EPILOG: Final = """\
\b
Examples:
  netlodge user add anna                              asks for a password, twice
  head -1 secret | netlodge user add anna --stdin     for scripts
  netlodge user token anna --label backup --expires 90d

\b
Exit codes: 0 done; 1 no such account, one of that name already, or the database cannot be reached; 2 settings, usage, or a password that will
not do."""


@click.group("user", epilog=_EPILOG)
def command() -> None:
    """Add, list and remove the accounts that `access.login` asks for; set passwords; make tokens.

    Works while the lodge runs: a change counts there within three seconds.
    """


# --- options and arguments --------------------------------------------------------------------------------------------


def _name(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        return normal_name(value)
    except AccountNameError as error:
        raise click.BadParameter(str(error), ctx, parameter) from error


def _label(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and (not value.isprintable() or not 1 <= len(value) <= _LABEL_LENGTH):
        raise click.BadParameter(f"A label has 1 to {_LABEL_LENGTH} printable characters.", ctx, parameter)
    return value


def _duration(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Duration | None:
    try:
        duration = None if value is None else Duration.parse(value)
    except SettingValueError as error:
        raise click.BadParameter(f"{value} {error}.", ctx, parameter) from error
    if duration is not None and duration < 1:
        raise click.BadParameter("A token lasts a second at least.", ctx, parameter)
    return duration


_name_argument = click.argument("name", metavar="NAME", callback=_name)
_stdin_option = click.option("--stdin", "from_stdin", is_flag=True, help="Read the password from standard input.")


def _lodge_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which lodge: the options that the other commands have, made into its `Settings`."""
    for option in (
        click.option("--config", metavar="FILE", type=click.Path(path_type=Path), help="The settings file."),
        click.option("--data", metavar="DIR", type=click.Path(path_type=Path), help="The lodge's data folder."),
        click.option(
            "--set",
            "overrides",
            metavar="KEY=VALUE",
            multiple=True,
            help="Set one key, over the file. May be given again.",
        ),
    ):
        function = option(function)
    return function


# --- the database -----------------------------------------------------------------------------------------------------


class _Lodge:
    """The database of the lodge that the options name."""

    def __init__(self, config: Path | None, data: Path | None, overrides: tuple[str, ...]) -> None:
        """Raises `SettingsError`."""
        self._loaded = load(Sources(config=config, data=data, overrides=overrides))

    @property
    def settings(self) -> Settings:
        return self._loaded.settings

    @property
    def is_new(self) -> bool:
        """True if nobody has ever kept anything there."""
        return not self.settings.database.url and not (self.settings.data / "lodge.db").exists()

    @contextmanager
    def opened(self) -> Iterator[Callable[[Callable[[sqlalchemy.Connection], T]], T]]:
        """Something that does work in the database. Made first, with its folder, if it is not there."""
        if self.is_new and prepare(self._loaded):
            click.echo(f"Made {self.settings.data}.", err=True)
        # What root makes here, the workers must be able to use.
        if (account := account_to_become(os.geteuid(), self.settings.user, self.settings.group)) is not None:
            drop(account)
        database = Database(self.settings.database_url, connections=1, timeout=self.settings.database.timeout)
        database.require(accounts.SCHEMA)
        try:
            yield database.run_here
        finally:
            database.close_here()


# --- commands ---------------------------------------------------------------------------------------------------------


@command.command("add")
@_name_argument
@_stdin_option
@_lodge_options
def add(name: str, *, from_stdin: bool, **options: Any) -> None:
    """Make an account. NAME is compared without regard to case."""
    with _Lodge(**options).opened() as work:
        if work(partial(accounts.find, name=name)) is not None:
            raise accounts.account_exists(name)
        kept = Passwords().hash(_password_for(name, from_stdin=from_stdin))
        work(partial(accounts.add, name=name, password=kept, now=int(time.time())))
    click.echo(f"Added {name}.")


@command.command("passwd")
@_name_argument
@_stdin_option
@_lodge_options
def passwd(name: str, *, from_stdin: bool, **options: Any) -> None:
    """Set the password of an account. Its tokens stay."""
    lodge = _Lodge(**options)
    if lodge.is_new:
        raise accounts.unknown_account(name)
    with lodge.opened() as work:
        if work(partial(accounts.find, name=name)) is None:
            raise accounts.unknown_account(name)
        kept = Passwords().hash(_password_for(name, from_stdin=from_stdin))
        work(partial(accounts.set_password, name=name, password=kept))
    click.echo(f"{name} has a new password.")


@command.command("remove")
@_name_argument
@_lodge_options
def remove(name: str, **options: Any) -> None:
    """Remove an account and its tokens."""
    lodge = _Lodge(**options)
    if lodge.is_new:
        raise accounts.unknown_account(name)
    with lodge.opened() as work:
        work(partial(accounts.remove, name=name))
    click.echo(f"Removed {name}.")


@command.command("list")
@_lodge_options
def list_accounts(**options: Any) -> None:
    """Show the accounts: name, when it was made, how many tokens it has."""
    lodge = _Lodge(**options)
    everyone = []
    if not lodge.is_new:
        with lodge.opened() as work:
            everyone = list(work(accounts.everyone))
    if not everyone:
        click.echo("There is no account; `netlodge user add NAME` makes one.", err=True)
        return
    width = max(len("account"), *(len(name) for name, _, _ in everyone))
    click.echo(f"{'account':<{width}}  {'made':<10}  tokens")
    for name, created, tokens in everyone:
        click.echo(f"{name:<{width}}  {_date(created)}  {tokens:>6}")


@command.command("token")
@_name_argument
@click.option("--label", callback=_label, help="What the token is for. Default: `token-` and its number.")
@click.option(
    "--expires", metavar="TIME", callback=_duration, help="How long it is good for, such as 90d. Default: for ever."
)
@click.option("--list", "is_list", is_flag=True, help="Show the tokens there are; not what they are.")
@click.option("--revoke", metavar="LABEL", callback=_label, help="Let the token with this label be worth nothing.")
@_lodge_options
def token(
    name: str, *, label: str | None, expires: Duration | None, is_list: bool, revoke: str | None, **options: Any
) -> None:
    """Make a token, which a program sends as `Authorization: Bearer TOKEN`, and print it: once, it is not kept."""
    if (label is not None or expires is not None) + is_list + (revoke is not None) > 1:
        raise click.UsageError("A token is made, or they are listed, or one is revoked: one at a time.")
    lodge = _Lodge(**options)
    if lodge.is_new:
        raise accounts.unknown_account(name)
    with lodge.opened() as work:
        if revoke is not None:
            work(partial(accounts.revoke_token, name=name, label=revoke))
            click.echo(f"Revoked {revoke}.")
        elif is_list:
            if work(partial(accounts.find, name=name)) is None:
                raise accounts.unknown_account(name)
            _list_tokens(name, work(partial(accounts.tokens_of, name=name)))
        else:
            _make_token(name, label, expires, work)


def _make_token(name: str, label: str | None, expires: Duration | None, work: Callable[..., Any]) -> None:
    now = int(time.time())
    secret = accounts.new_token()

    def insert(connection: sqlalchemy.Connection) -> accounts.Token:
        made = accounts.Token(
            account=name,
            label=label or accounts.free_label(connection, name),
            created=now,
            expires=None if expires is None else now + int(expires),
        )
        accounts.add_token(connection, digest=accounts.digest_of(secret), token=made)
        return made

    made = work(insert)
    until = "" if made.expires is None else f", good until {_moment(made.expires)}"
    click.echo(f"Token {made.label} of {name}{until}. It is shown this once:", err=True)
    click.echo(secret)


def _list_tokens(name: str, tokens: list[accounts.Token]) -> None:
    if not tokens:
        click.echo(f"{name} has no token; `netlodge user token {name}` makes one.", err=True)
        return
    width = max(len("label"), *(len(each.label) for each in tokens))
    click.echo(f"{'label':<{width}}  {'made':<10}  good until")
    for each in tokens:
        until = "it is revoked" if each.expires is None else _moment(each.expires)
        click.echo(f"{each.label:<{width}}  {_date(each.created)}  {until}")


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


# --- passwords --------------------------------------------------------------------------------------------------------


def _password_for(name: str, *, from_stdin: bool) -> str:
    """A password that will do. Raises `UsageError` if there is none to be had."""
    if from_stdin:
        password = _read_line()
        if complaint := complaint_about(password, name):
            raise click.UsageError(complaint)
        return password
    if not sys.stdin.isatty():
        raise click.UsageError(
            "There is no terminal to ask for the password at; give it on standard input, with --stdin."
        )
    for _ in range(_ATTEMPTS):
        password = getpass.getpass(f"Password for {name}: ")
        complaint = complaint_about(password, name)
        if not complaint and getpass.getpass("The same again: ") != password:
            complaint = "These were two different passwords."
        if not complaint:
            return password
        click.echo(complaint, err=True)
    raise click.UsageError("No password was chosen; nothing was changed.")


def _read_line() -> str:
    """The one line of standard input, without its end."""
    octets = sys.stdin.buffer.read(8 * LONGEST)
    line = octets.removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" in line:
        raise click.UsageError("Standard input has more than one line; the password is the only one.")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise click.UsageError("The password on standard input is not in UTF-8.") from None
