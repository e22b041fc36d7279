"""The Huffman code of HPACK, both ways.

RFC 7541 §5.2 and Appendix B. The code is canonical: symbols of one length follow each other in order, and so do the lengths. So the lengths
alone, written here as the octets that have each, are the whole of Appendix B.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from netlodge.core.errors import NetlodgeError

_BY_LENGTH: Final[dict[int, bytes]] = {
    5: b"012aceiost",
    6: b" %-./3456789=A_bdfghlmnpru",
    7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: b"&*,;XZ",
    10: b'!"()?',
    11: b"'+|",
    12: b"#>",
    13: b"\x00$@[]~",
    14: b"^}",
    15: b"<`{",
    19: b"\\\xc3\xd0",
    20: b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2",
    21: b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6",
    22: b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\xc6\xe4\xe8\xe9",
    23: b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf\xc5\xe7\xef",
    24: b"\t\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed",
    25: b"\xc7\xcf\xea\xeb",
    26: b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff",
    27: b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe",
    28: b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f\xdc\xf9",
    30: b"\n\r\x16",
}
"""The octets whose codes have so many bits. The one code that is left, of 30 ones, is EOS."""

_EOS: Final = 256
_ROOT: Final = 0


class HuffmanError(NetlodgeError):
    """Octets that are no Huffman-coded string."""


def _codes() -> Iterator[tuple[int, str]]:
    """Each symbol with its code, as a string of bits."""
    code, before = 0, 0
    for length, symbols in _BY_LENGTH.items():
        code <<= length - before
        before = length
        for symbol in symbols:
            yield symbol, format(code, f"0{length}b")
            code += 1
    yield _EOS, format(code, "030b")


_BITS: Final[tuple[str, ...]] = tuple(bits for _, bits in sorted(_codes()))


def encode(text: bytes) -> bytes:
    """`text` in the code, filled up with ones: "the most significant bits of the code corresponding to the EOS (end-of-string) symbol"
    (§5.2)."""
    bits = "".join(map(_BITS.__getitem__, text))
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big") if bits else b""


def encoded_length(text: bytes) -> int:
    """Octets that `encode` would return."""
    return (sum(map(len, map(_BITS.__getitem__, text))) + 7) // 8


class _Step(NamedTuple):
    """What four bits lead to, from one node of the code's tree."""

    node: int
    """The node after them; -1: they hold EOS, which is an error wherever it stands."""
    octet: bytes
    """What they complete: one octet at most, for no code is as short as four bits."""


class _Automaton(NamedTuple):
    """Decodes four bits at a time. Node 0 is the root of the code's tree."""

    steps: tuple[tuple[_Step, ...], ...]
    """By node and nibble."""
    ends: frozenset[int]
    """The nodes at which a string may end: those that up to seven ones lead to (§5.2)."""


@cache
def _automaton() -> _Automaton:
    children: list[list[int]] = [[0, 0]]
    symbols: dict[tuple[int, int], int] = {}
    for symbol, bits in _codes():
        node = _ROOT
        for bit in map(int, bits[:-1]):
            if not children[node][bit]:
                children.append([0, 0])
                children[node][bit] = len(children) - 1
            node = children[node][bit]
        symbols[node, int(bits[-1])] = symbol

    def step(node: int, nibble: int) -> _Step:
        octet = b""
        for place in (3, 2, 1, 0):
            bit = nibble >> place & 1
            symbol = symbols.get((node, bit))
            if symbol == _EOS:
                return _Step(-1, b"")
            if symbol is None:
                node = children[node][bit]
            else:
                node, octet = _ROOT, bytes((symbol,))
        return _Step(node, octet)

    ends = [_ROOT]
    for _ in range(7):
        ends.append(children[ends[-1]][1])
    steps = tuple(tuple(step(node, nibble) for nibble in range(16)) for node in range(len(children)))
    return _Automaton(steps, frozenset(ends))


def decode(octets: bytes) -> bytes:
    """The text. Raises `HuffmanError` for EOS within ("MUST be treated as a decoding error"), and for an end that is not the beginning
    of EOS, or longer than seven bits."""
    steps, ends = _automaton()
    text: list[bytes] = []
    node = _ROOT
    for octet in octets:
        node, first = steps[node][octet >> 4]
        if node < 0:
            break
        node, second = steps[node][octet & 15]
        if node < 0:
            break
        text.append(first + second)
    if node not in ends:
        raise HuffmanError("A Huffman-coded string does not end as it must.")
    return b"".join(text)
