"""Passwords: how they are kept, and how one is verified.

RFC 9106 (Argon2id); what is kept is a PHC string (`$argon2id$v=19$m=...,t=...,p=...$salt$hash`), so that the cost can be raised and each
old hash still says how it was made. RFC 8265 §4.2 (OpaqueString) says when two passwords are the same text.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import unicodedata
from collections.abc import Callable
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

_SALT_OCTETS: Final = 16
_HASH_OCTETS: Final = 32
_MOST_MEMORY: Final = 1 << 21
"""KiB that a kept hash may ask for: what stands in the database is not trusted to take the whole machine."""
_MOST_ITERATIONS: Final = 64
_MOST_LANES: Final = 64

_PHC: Final = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,7}),t=([1-9][0-9]{0,3}),p=([1-9][0-9]{0,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,86})"
)


class Cost(NamedTuple):
    """What one hash costs whoever computes it: `memory` in KiB, passes over it, and lanes."""

    memory: int
    iterations: int
    lanes: int


COST: Final = Cost(memory=19 * 1024, iterations=2, lanes=1)
"""OWASP's recommendation for logins: 19 MiB, 2 passes, 1 lane. The 64 MiB of RFC 9106 §4 would let whoever floods the lodge with
logins take four times the memory and time; the limits on failures are what keeps guessing slow here, the cost is for stolen databases."""

Derive = Callable[[bytes, bytes, Cost, int], bytes]
"""From password, salt, cost and length to the hash."""


def argon2id(password: bytes, salt: bytes, cost: Cost, length: int) -> bytes:
    """RFC 9106 §3. Other threads of Python run meanwhile."""
    derivation = Argon2id(
        salt=salt, length=length, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory
    )
    return derivation.derive(password)


class _Kept(NamedTuple):
    cost: Cost
    salt: bytes
    digest: bytes


class Passwords:
    """Makes and verifies kept hashes. Takes about 50 ms and `cost.memory` for each: never to be called on an event loop."""

    __slots__ = ("_cost", "_decoy", "_derive")

    def __init__(self, cost: Cost = COST, derive: Derive = argon2id) -> None:
        self._cost = cost
        self._derive = derive
        self._decoy = _phc(cost, os.urandom(_SALT_OCTETS), os.urandom(_HASH_OCTETS))

    def hash(self, password: str) -> str:
        """The PHC string of a password, with a salt of its own."""
        salt = os.urandom(_SALT_OCTETS)
        return _phc(self._cost, salt, self._derive(_octets(password), salt, self._cost, _HASH_OCTETS))

    def verify(self, password: str, kept: str | None) -> bool:
        """Whether `kept` was made of this password. None, for an account that is not there, takes as long as a wrong password: who waits
        learns nothing about names. A string that is no hash of ours matches nothing."""
        parsed = _parse(self._decoy if kept is None else kept) or _parse(self._decoy)
        if parsed is None:
            return False
        digest = self._derive(_octets(password), parsed.salt, parsed.cost, len(parsed.digest))
        # The decoy's hash is random: nobody knows a password for it.
        return hmac.compare_digest(digest, parsed.digest)

    def is_outdated(self, kept: str) -> bool:
        """Whether a hash was made with another cost than a new one would be: then it is made anew at the next login."""
        parsed = _parse(kept)
        return parsed is None or parsed.cost != self._cost


def _phc(cost: Cost, salt: bytes, digest: bytes) -> str:
    return f"$argon2id$v=19$m={cost.memory},t={cost.iterations},p={cost.lanes}${_base64(salt)}${_base64(digest)}"


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii").rstrip("=")


def _parse(kept: str) -> _Kept | None:
    found = _PHC.fullmatch(kept)
    if found is None:
        return None
    cost = Cost(int(found[1]), int(found[2]), int(found[3]))
    if cost.memory > _MOST_MEMORY or cost.iterations > _MOST_ITERATIONS or cost.lanes > _MOST_LANES:
        return None
    if cost.memory < 8 * cost.lanes:  # RFC 9106 §3.1
        return None
    try:
        return _Kept(cost, *(base64.b64decode(text + "=" * (-len(text) % 4)) for text in (found[4], found[5])))
    except binascii.Error:
        return None


def _octets(password: str) -> bytes:
    """RFC 8265 §4.2.1: spaces of all kinds are one space, and the normal form is NFC; nothing else is changed."""
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    return unicodedata.normalize("NFC", spaced).encode("utf-8", "surrogatepass")
