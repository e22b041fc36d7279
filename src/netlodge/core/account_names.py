"""Names of accounts: which there are, and when two are the same.

The idea is that of RFC 8265 §3.3 (UsernameCaseMapped): a name is compared in one width, folded case and one normal form, so that nobody
can be taken for somebody else who differs by that alone. Only the normal form is kept and shown.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from netlodge.core.errors import NetlodgeError

NAME_LENGTH: Final = 64
"""Characters of the longest name."""
_LETTERS_AND_DIGITS: Final = frozenset({"Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Mn", "Nd"})
"""General categories (Unicode Standard §4.5), combining marks among them."""
_MARKS: Final = frozenset("._-+@")
_GRAMMAR: Final = "A name has letters and digits of any alphabet, and `.`, `_`, `-`, `+`, `@` after the first of them; at most 64 characters."


class AccountNameError(NetlodgeError):
    """Text that is no name of an account."""


def normal_name(text: str) -> str:
    """The one form of a name: `Anna`, `ANNA` and `ａｎｎａ` are `anna`.

    A name begins with a letter or a digit, and goes on with letters, digits, their combining marks and `._-+@`: no colon, which ends the
    user-id in Basic (RFC 7617 §2), no space, nothing that a log or a field would have to escape. Raises `AccountNameError`.
    """
    if len(text) > 4 * NAME_LENGTH:
        raise AccountNameError(f"The name is too long. {_GRAMMAR}")
    name = unicodedata.normalize("NFC", "".join(map(_of_usual_width, text)))
    # Folding may undo the normal form, and the normal form of what was folded may fold once more.
    name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.casefold()).casefold())
    if not name:
        raise AccountNameError(f"The name is empty. {_GRAMMAR}")
    if len(name) > NAME_LENGTH:
        raise AccountNameError(f"The name is too long. {_GRAMMAR}")
    if unicodedata.category(name[0])[0] not in "LN":
        raise AccountNameError(f"A name cannot begin with {_shown(name[0])}. {_GRAMMAR}")
    for character in name:
        if not (unicodedata.category(character) in _LETTERS_AND_DIGITS or character in _MARKS):
            raise AccountNameError(f"A name cannot have {_shown(character)}. {_GRAMMAR}")
    return name


def _of_usual_width(character: str) -> str:
    """RFC 8264 §5.2.1: fullwidth and halfwidth characters are those that they stand for."""
    decomposition = unicodedata.decomposition(character)
    if decomposition.startswith(("<wide> ", "<narrow> ")):
        return chr(int(decomposition.rpartition(" ")[2], 16))
    return character


def _shown(character: str) -> str:
    return f"`{character}`" if character.isprintable() and character != "`" else f"U+{ord(character):04X}"
