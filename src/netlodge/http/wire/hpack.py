"""Header compression for HTTP/2: field blocks as octets, and back.

RFC 7541: §2.3 (the tables), §4 (size of the dynamic table), §5 (integers and strings), §6 (representations), §7.1 (what is never
indexed).

The theory. A decoder is an automaton: a state of the dynamic table and the octets of a block give a list of fields and the next state.
Here a state is immutable. Equal states are one object, shared by all connections (`TableStates`), and each remembers where the blocks lead
that came in it: so a block that came before, on any connection with the same history, is one look into a dictionary.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from netlodge.core.errors import NetlodgeError
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.huffman import HuffmanError, decode, encode, encoded_length

Field = tuple[str, str]
"""A lower-case name and a value, whose characters are octets (ISO-8859-1)."""

STATIC: Final[tuple[Field, ...]] = (
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""),
    ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""),
    ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""),
    ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""),
    ("www-authenticate", ""),
)  # fmt: skip
"""Appendix A; the first entry has index 1."""

DEFAULT_TABLE: Final = 4096
"""Octets of the dynamic table until something else is said (SETTINGS_HEADER_TABLE_SIZE, RFC 9113 §6.5.2)."""
OVERHEAD: Final = 32
"""What an entry counts beside its name and value (§4.1)."""
_LONGEST_INTEGER: Final = 4
"""Octets of an integer after its prefix that are read: "Integer encodings that exceed implementation limits -- in value or octet
length -- MUST be treated as decoding errors" (§5.1). Four bring 28 bits."""

_STATIC_PAIRS: Final[dict[Field, int]] = {pair: index for index, pair in reversed(list(enumerate(STATIC, 1)))}
_STATIC_NAMES: Final[dict[str, int]] = {pair[0]: index for index, pair in reversed(list(enumerate(STATIC, 1)))}

SENSITIVE: Final = frozenset({"authorization", "proxy-authorization", "set-cookie"})
"""What is sent as never indexed (§7.1.3): no one on the way may put it where a later guess could be compared with it."""
SHORT_COOKIE: Final = 20
"""Characters below which a cookie is sent so, too: "short or low-entropy values are more readily recovered by an adversary" (§7.1.3). Precedent:
nghttp2 20."""


class HpackError(NetlodgeError):
    """Octets that are no field block: a COMPRESSION_ERROR for the whole connection (RFC 9113 §4.3)."""


# --- the decoder ------------------------------------------------------------------------------------------------------------------


class Decoded:
    """What a block said, and the state of the table after it. Shared by all who send the same block in the same state, and so is what is
    made of it: `head` is that of a request, whether it had content, and the protocol of an extended CONNECT, once somebody read it so."""

    __slots__ = ("fields", "head", "size", "state")

    def __init__(self, fields: tuple[Field, ...], size: int, state: TableState) -> None:
        self.fields = fields
        """Empty if the list was larger than the decoder was told to make."""
        self.size = size
        """Of the whole list, as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 §6.5.2)."""
        self.state = state
        self.head: tuple[bool, RequestHead, str | None] | None = None


class TableState:
    """One state of a dynamic table; never changed. `entries` has the newest first, of `size` octets (§4.1); `capacity` is what the
    encoder has chosen as the most."""

    __slots__ = ("capacity", "entries", "size", "transitions")

    def __init__(self, entries: tuple[Field, ...], size: int, capacity: int) -> None:
        self.entries = entries
        self.size = size
        self.capacity = capacity
        self.transitions: dict[bytes, Decoded] = {}
        """Where the blocks lead that came in this state."""


def _size_of(field: Field) -> int:
    return len(field[0]) + len(field[1]) + OVERHEAD


class TableStates:
    """The states that connections are in, each once, with their transitions. Bounded by the `octets` that all of it occupies: when it is
    full, everything is forgotten, and what comes often is back at once. States in use stay with those who use them.

    `limit` is what a peer's table may have (our SETTINGS_HEADER_TABLE_SIZE), `list_limit` the size of the largest list that is made; the same
    for all, because a transition is only the same for all who have the same bounds.
    """

    __slots__ = ("_by_content", "_octets", "_room", "limit", "list_limit")

    def __init__(self, octets: int, *, limit: int = DEFAULT_TABLE, list_limit: int = 1 << 16) -> None:
        self._room = octets
        self._octets = 0
        self.limit = limit
        self.list_limit = list_limit
        self._by_content: dict[tuple[int, tuple[Field, ...]], TableState] = {}

    @property
    def octets(self) -> int:
        """What is kept, by its own account."""
        return self._octets

    def state(self, entries: tuple[Field, ...], capacity: int) -> TableState:
        """The state with these entries."""
        key = (capacity, entries)
        state = self._by_content.get(key)
        if state is None:
            size = sum(map(_size_of, entries))
            state = TableState(entries, size, capacity)
            if self._room_for(size + 256):
                self._by_content[key] = state
        return state

    def note(self, state: TableState, block: bytes, decoded: Decoded) -> None:
        """Remember where a block led. What is made of it later counts now: its head, the fields of that, the head as HTTP/1.1 writes it."""
        octets = len(block) + 5 * decoded.size + 512
        if self._room_for(octets):
            state.transitions[block] = decoded

    def clear(self) -> None:
        """Forget everything."""
        for state in self._by_content.values():
            state.transitions.clear()
        self._by_content.clear()
        self._octets = 0

    def _room_for(self, octets: int) -> bool:
        if octets > self._room // 8:
            return False
        if self._octets + octets > self._room:
            self.clear()
        self._octets += octets
        return True


class HpackDecoder:
    """One connection's decoder."""

    __slots__ = ("_states", "state")

    def __init__(self, states: TableStates) -> None:
        self._states = states
        self.state = states.state((), min(states.limit, DEFAULT_TABLE))

    def decode(self, block: bytes) -> Decoded:
        """The fields of a whole block. Raises `HpackError`: then nothing more can be decoded on this connection."""
        decoded = self.state.transitions.get(block)
        if decoded is None:
            decoded = _Reader(block, self.state, self._states).read()
            self._states.note(self.state, block, decoded)
        self.state = decoded.state
        return decoded


class _Reader:
    """Reads one block from a state of the table."""

    __slots__ = ("_block", "_capacity", "_entries", "_place", "_size", "_states")

    def __init__(self, block: bytes, state: TableState, states: TableStates) -> None:
        self._block = block
        self._place = 0
        self._states = states
        self._entries = list(state.entries)
        self._size = state.size
        self._capacity = state.capacity

    def read(self) -> Decoded:
        block, end = self._block, len(self._block)
        fields: list[Field] = []
        size = 0
        may_resize = True
        while self._place < end:
            octet = block[self._place]
            if octet & 0x80:  # §6.1, indexed
                field = self._look_up(self._integer(7))
            elif octet & 0x40:  # §6.2.1, literal with incremental indexing
                field = self._literal(6)
                self._insert(field)
            elif octet & 0x20:  # §6.3, size update
                # "This dynamic table size update MUST occur at the beginning of the first header block following the change" (§4.2)
                if not may_resize:
                    raise HpackError("The dynamic table changes its size in the middle of a block.")
                self._resize(self._integer(5))
                continue
            else:  # §6.2.2 and §6.2.3, literal without indexing, literal never indexed
                field = self._literal(4)
            may_resize = False
            size += _size_of(field)
            if size <= self._states.list_limit:
                fields.append(field)
        state = self._states.state(tuple(self._entries), self._capacity)
        return Decoded(tuple(fields) if size <= self._states.list_limit else (), size, state)

    def _look_up(self, index: int) -> Field:
        if 0 < index <= len(STATIC):
            return STATIC[index - 1]
        place = index - len(STATIC) - 1
        if not 0 <= place < len(self._entries):
            raise HpackError(f"There is no entry {index} in the tables.")
        return self._entries[place]

    def _literal(self, prefix: int) -> Field:
        index = self._integer(prefix)
        name = self._look_up(index)[0] if index else self._string()
        return name, self._string()

    def _insert(self, field: Field) -> None:
        # "an attempt to add an entry larger than the maximum size causes the table to be emptied of all existing entries" (§4.4)
        cost = _size_of(field)
        self._evict(self._capacity - cost)
        if cost <= self._capacity:
            self._entries.insert(0, field)
            self._size += cost

    def _evict(self, room: int) -> None:
        while self._entries and self._size > room:
            self._size -= _size_of(self._entries.pop())

    def _resize(self, capacity: int) -> None:
        # "The new maximum size MUST be lower than or equal to the limit determined by the protocol using HPACK." (§6.3)
        if capacity > self._states.limit:
            raise HpackError(f"The dynamic table may have {self._states.limit} octets, and not {capacity}.")
        self._capacity = capacity
        self._evict(capacity)

    def _integer(self, prefix: int) -> int:
        """§5.1."""
        block, place = self._block, self._place
        mask = (1 << prefix) - 1
        value = block[place] & mask
        place += 1
        if value == mask:
            for shift in range(0, 7 * _LONGEST_INTEGER, 7):
                if place >= len(block):
                    raise HpackError("A block ends within an integer.")
                octet = block[place]
                place += 1
                value += (octet & 0x7F) << shift
                if not octet & 0x80:
                    break
            else:
                raise HpackError("An integer is too large.")
        self._place = place
        return value

    def _string(self) -> str:
        """§5.2."""
        if self._place >= len(self._block):
            raise HpackError("A block ends within a field.")
        is_huffman = self._block[self._place] & 0x80
        length = self._integer(7)
        start, end = self._place, self._place + length
        if end > len(self._block):
            raise HpackError("A block ends within a string.")
        self._place = end
        octets = self._block[start:end]
        if is_huffman:
            try:
                octets = decode(octets)
            except HuffmanError as error:
                raise HpackError(str(error)) from None
        return octets.decode("latin-1")


# --- the encoder ------------------------------------------------------------------------------------------------------------------


def encode_integer(value: int, prefix: int, flags: int = 0) -> bytes:
    """§5.1: `value` behind the bits of `flags` that stand above its prefix."""
    mask = (1 << prefix) - 1
    if value < mask:
        return bytes((flags | value,))
    octets = bytearray((flags | mask,))
    value -= mask
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def encode_string(text: str) -> bytes:
    """§5.2: in the Huffman code where that is shorter. Raises `UnicodeEncodeError` for what is no octet."""
    octets = text.encode("latin-1")
    length = encoded_length(octets)
    if length < len(octets):
        return encode_integer(length, 7, 0x80) + encode(octets)
    return encode_integer(len(octets), 7) + octets


def encode_stateless(fields: Iterable[Field]) -> bytes:
    """A block that neither reads nor changes the dynamic table: the same on every connection, so it can be kept beside an answer.
    Sensitive fields are marked as never indexed."""
    parts: list[bytes] = []
    for field in fields:
        name, value = field
        index = _STATIC_PAIRS.get(field)
        if index is not None:
            parts.append(encode_integer(index, 7, 0x80))
            continue
        parts.append(_literal(_STATIC_NAMES.get(name, 0), name, 4, 0x10 if is_sensitive(name, value) else 0x00))
        parts.append(encode_string(value))
    return b"".join(parts)


def is_sensitive(name: str, value: str) -> bool:
    """Whether a field is never indexed."""
    return name in SENSITIVE or (name == "cookie" and len(value) < SHORT_COOKIE)


def _literal(index: int, name: str, prefix: int, flags: int) -> bytes:
    return encode_integer(index, prefix, flags) if index else bytes((flags,)) + encode_string(name)


class HpackEncoder:
    """One connection's encoder with its dynamic table. `resize` follows the peer's SETTINGS_HEADER_TABLE_SIZE; more than `most` octets
    are never used."""

    __slots__ = ("_added", "_entries", "_most", "_pending", "_size", "capacity")

    def __init__(self, most: int = DEFAULT_TABLE) -> None:
        self._most = most
        self.capacity = min(most, DEFAULT_TABLE)
        self._size = 0
        self._added = 0
        """Entries ever added: an entry's number here, taken from it, is its distance from the newest."""
        self._entries: OrderedDict[Field, int] = OrderedDict()
        self._pending: list[int] = [self.capacity] if self.capacity != DEFAULT_TABLE else []
        """Size updates that the next block begins with (§4.2)."""

    def resize(self, limit: int) -> None:
        """The peer allows a table of `limit` octets from now on."""
        capacity = min(limit, self._most)
        if capacity == self.capacity and not self._pending:
            return
        # "In the case that this size is changed more than once in this interval, the smallest maximum table size that occurs in that
        # interval MUST be signaled in a dynamic table size update. The final maximum size is always signaled" (§4.2)
        smallest = min(self._pending, default=capacity)
        self._pending = [smallest, capacity] if smallest < capacity else [capacity]
        self.capacity = capacity
        self._evict(capacity)

    def encode(self, fields: Iterable[Field]) -> bytes:
        """A block. What is sensitive is never indexed; what is larger than a fourth of the table is not added to it."""
        parts = [encode_integer(size, 5, 0x20) for size in self._pending]
        self._pending = []
        for field in fields:
            name, value = field
            index = _STATIC_PAIRS.get(field) or self._index_of(field)
            if index:
                parts.append(encode_integer(index, 7, 0x80))
                continue
            cost = _size_of(field)
            is_secret = is_sensitive(name, value)
            may_add = not is_secret and cost <= self.capacity // 4
            flags, prefix = (0x40, 6) if may_add else (0x10 if is_secret else 0x00, 4)
            parts.append(_literal(_STATIC_NAMES.get(name, 0), name, prefix, flags))
            parts.append(encode_string(value))
            if may_add:
                self._insert(field, cost)
        return b"".join(parts)

    def _index_of(self, field: Field) -> int:
        number = self._entries.get(field)
        return 0 if number is None else len(STATIC) + self._added - number

    def _insert(self, field: Field, cost: int) -> None:
        self._evict(self.capacity - cost)
        self._entries[field] = self._added
        self._added += 1
        self._size += cost

    def _evict(self, room: int) -> None:
        while self._entries and self._size > room:
            field, _ = self._entries.popitem(last=False)
            self._size -= _size_of(field)
