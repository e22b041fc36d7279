"""Which passwords somebody may choose: those that are not guessed at once.

NIST SP 800-63B §5.1.1.2: a least length and a list of those that are guessed first; no rules of composition, which make people choose
`Password1!`, and no expiry.
"""

from __future__ import annotations

import unicodedata
from importlib import resources
from typing import Final

SHORTEST: Final = 8
"""Characters of a new password at least (NIST SP 800-63B §5.1.1.2: "at least 8 characters in length")."""
LONGEST: Final = 1024
"""Characters of a new password at most."""
_ROWS: Final = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm",
                "qwertyuiopasdfghjklzxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "qwertzuiop", "qwertzuiopasdfghjklyxcvbnm",
                "azertyuiop", "azertyuiopqsdfghjklmwxcvbn")  # fmt: skip
"""Ways along the alphabet and the keys."""


def complaint_about(password: str, name: str) -> str:
    """Why this is no good password for the account `name`, in a sentence; empty if it will do."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in password):
        return "A password cannot have control characters: no browser could send them (RFC 7617 §2)."
    if len(password) < SHORTEST:
        return f"The password has {len(password)} characters; it must have at least {SHORTEST}, because shorter ones are guessed by trying them all."
    if len(password) > LONGEST:
        return f"The password has {len(password)} characters; it may have {LONGEST} at most."
    plain = password.casefold()
    if len(set(plain)) < 4:
        return "The password has too few different characters; those are tried first."
    if plain in _guessed_first() or _is_row(plain):
        return "The password is one of those that are tried first; choose one that nobody else has."
    rest = plain.replace(name.casefold(), "").replace("netlodge", "")
    if len(rest) < SHORTEST // 2:
        return "The password is little more than the name of the account or of the program; those are tried first."
    return ""


def _is_row(text: str) -> bool:
    """Whether all of it is one walk along the alphabet, the digits or a row of keys, or up to four characters again and again."""
    doubled = [row * 2 for row in _ROWS]
    if any(text in row or text in row[::-1] for row in doubled):
        return True
    return any(text == (text[:length] * len(text))[: len(text)] for length in range(1, 5))


def _guessed_first() -> frozenset[str]:
    """A short list, in folded case: what lists of stolen passwords have most often, of `SHORTEST` characters and more."""
    return frozenset((resources.files("netlodge.store") / "guessed_passwords.txt").read_text("utf-8").split())
