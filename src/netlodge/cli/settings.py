"""`netlodge settings`: the reference of settings, in a terminal or as the page of Markdown that stands in `docs`."""

from __future__ import annotations

import click

from netlodge.config import reference
from netlodge.config.build import nearest
from netlodge.config.schema import entries
from netlodge.config.settings import Settings


@click.command(
    epilog="""\
\b
Examples:
  netlodge settings                      every key
  netlodge settings limits               one table
  netlodge settings limits.head_size     one key"""
)
@click.argument("key", required=False)
@click.option("--markdown", "is_markdown", is_flag=True, help="Print the page docs/settings.md.")
@click.option("--toml", "is_toml", is_flag=True, help="Print the starter file.")
def command(key: str | None, *, is_markdown: bool, is_toml: bool) -> None:
    """Explain the settings: all of them, a table, or one KEY.

    Each key is shown with its default, what it takes, what it means, and what other servers have in its place.
    """
    if is_markdown or is_toml:
        click.echo(reference.markdown() if is_markdown else reference.starter_toml(), nl=False)
        return
    found = reference.find(key) if key else list(entries(Settings))
    if not found:
        raise click.UsageError(f"There is no setting '{key}'{_hint(key or '')}")
    click.echo("\n\n".join(reference.text(entry) for entry in found))


def _hint(key: str) -> str:
    """The key with the same last name, or else the nearest one."""
    keys = [entry.key.replace("[]", "") for entry in entries(Settings)]
    matches = [each for each in keys if each.endswith(f".{key}")]
    if matches:
        return f"; did you mean {' or '.join(matches)}?"
    return nearest(key, keys) or "; `netlodge settings` lists them all."
