"""How many wrong logins a client and an account may have, so that passwords cannot be guessed by trying.

Failures are counted for each client, for each account (whether there is such an account or not), and over all workers. Past the limit
nothing is verified any more until one failure is forgotten. Guesses that are being verified at that moment still get their answer: as
many as are verified at once.

Whoever may fail on purpose could so keep others out: of an account by naming it, of everything by sharing an address with them. Hence a
client that has logged in to an account before is known there for a week, and is asked for the failures of this client at this account
alone (OWASP calls it a device cookie; here the address takes the cookie's place).
"""

from __future__ import annotations

from typing import Final

from netlodge.core.rates import Places, Rate, RateTable

_KNOWN: Final = Rate(interval=7 * 86400.0, burst=1)
"""One login in a week is enough to be known: the rate's own number says until when."""


class LoginFailures:
    """One per lodge. `rate` is how many failures may come at once, and how long it takes until one is forgotten.

    `client` is what counts as one client, e.g. an IPv4 address or an IPv6 network; `name` is the normal form of an account's
    name, or empty if none was given; `now` is monotonic seconds.
    """

    __slots__ = ("_failures", "_known", "_rate")

    def __init__(self, failures: RateTable, known: RateTable, rate: Rate) -> None:
        self._failures = failures
        self._known = known
        self._rate = rate

    def wait(self, client: bytes, name: str, now: float) -> float:
        """Seconds until the next attempt may be made; 0.0: now."""
        table, rate = self._failures, self._rate
        return max(table.wait(table.places(key), rate, now) for key in self._keys(client, name, now))

    def failed(self, client: bytes, name: str, now: float) -> None:
        """An attempt was made and was wrong."""
        table = self._failures
        for key in self._keys(client, name, now):
            table.take(table.places(key), self._rate, now)

    def places_of_known(self, client: bytes, name: str) -> Places:
        """Where the failures of a client at an account that it has logged in to are counted: for `wait_at`."""
        return self._failures.places(_pair_key(client, name))

    def wait_at(self, places: Places, now: float) -> float:
        """`wait` for such a client, without a hash."""
        return self._failures.wait(places, self._rate, now)

    def succeeded(self, client: bytes, name: str, now: float) -> None:
        """The client has shown to be the account."""
        self._known.take(self._known.places(_pair(client, name)), _KNOWN, now)

    def _keys(self, client: bytes, name: str, now: float) -> tuple[bytes, ...]:
        pair = _pair(client, name)
        if name and self._known.wait(self._known.places(pair), _KNOWN, now):
            return (_pair_key(client, name),)
        if name:
            return (b"client " + client, b"account " + name.encode("utf-8"))
        return (b"client " + client,)


def _pair_key(client: bytes, name: str) -> bytes:
    return b"pair " + _pair(client, name)


def _pair(client: bytes, name: str) -> bytes:
    return name.encode("utf-8") + b"\0" + client  # no name has a NUL
