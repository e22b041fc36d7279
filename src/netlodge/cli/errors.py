"""What ends a command with the exit code 2 although the settings themselves are in order."""

from __future__ import annotations

from netlodge.core.errors import NetlodgeError


class NothingStartedError(NetlodgeError):
    """The lodge did not start: an address is taken, the data folder is in use, a user cannot be become. One sentence a line."""
