"""Text from the wire made safe for where it is shown: a log line, a JSON line, a terminal.

Whatever octets a client sends, a log line stays one line with its quotes where they belong, JSON stays JSON, and a terminal sees
no control character. Text of the wire is `str` whose characters are octets (ISO-8859-1), as everywhere in Netlodge.
"""

from __future__ import annotations

import json
from typing import Final

_LOG_TABLE: Final = {
    octet: f"\\x{octet:02X}" for octet in range(256) if octet < 0x20 or octet >= 0x7F or chr(octet) in '"\\'
}

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def octets(text: str) -> bytes:
    """The octets that `text` stands for. Characters beyond U+00FF, which no wire produced, become their UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def is_plain(text: str) -> bool:
    """Whether the text stands in a log line as it is."""
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text


def escape_for_log(text: str) -> str:
    r"""`text` as it stands between the quotes of a log line: controls, quotes, backslashes and octets >= 0x7f as `\xHH`."""
    if is_plain(text):
        return text
    return octets(text).decode("latin-1").translate(_LOG_TABLE)


def to_json(value: object) -> str:
    r"""`value` as one line of printable ASCII: everything else is `\uXXXX`, so neither a terminal nor a line reader is fooled."""
    return _encode(value).replace("\x7f", "\\u007f")


def printable(data: bytes) -> str:
    r"""`data` for a terminal: UTF-8 that prints stays, every other octet is `\xHH`, and a backslash is doubled."""
    shown: list[str] = []
    for character in data.decode("utf-8", "surrogateescape"):
        if character == "\\":
            shown.append("\\\\")
        elif character.isprintable():
            shown.append(character)
        else:
            shown.extend(f"\\x{octet:02x}" for octet in character.encode("utf-8", "surrogateescape"))
    return "".join(shown)
