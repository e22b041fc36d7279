"""Header compression, in the order of RFC 7541; the examples are those of its Appendix C."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.wire import hpack, huffman
from netlodge.http.wire.hpack import (
    DEFAULT_TABLE,
    STATIC,
    Field,
    HpackDecoder,
    HpackEncoder,
    HpackError,
    TableStates,
    encode_integer,
    encode_stateless,
)

FIELDS = st.lists(
    st.tuples(
        st.one_of(
            st.sampled_from([name for name, _ in STATIC]),
            st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20),
        ),
        st.one_of(
            st.sampled_from([value for _, value in STATIC]), st.text(st.characters(max_codepoint=255), max_size=80)
        ),
    ),
    max_size=12,
)


def decoder(**limits: int) -> HpackDecoder:
    return HpackDecoder(TableStates(1 << 20, **limits))


def fields(*lines: str) -> tuple[Field, ...]:
    """`name: value` as they stand in the RFC."""
    return tuple((name, value) for name, _, value in (line.rpartition(": ") for line in lines))


DATE_21, DATE_22 = "date: Mon, 21 Oct 2013 20:13:21 GMT", "date: Mon, 21 Oct 2013 20:13:22 GMT"
REQUESTS = [
    (fields(":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"), 57),
    (
        fields(":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"),
        110,
    ),
    (
        fields(
            ":method: GET",
            ":scheme: https",
            ":path: /index.html",
            ":authority: www.example.com",
            "custom-key: custom-value",
        ),
        164,
    ),
]
RESPONSES = [
    (fields(":status: 302", "cache-control: private", DATE_21, "location: https://www.example.com"), 222),
    (fields(":status: 307", "cache-control: private", DATE_21, "location: https://www.example.com"), 222),
    (
        fields(
            ":status: 200",
            "cache-control: private",
            DATE_22,
            "location: https://www.example.com",
            "content-encoding: gzip",
            "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
        ),
        215,
    ),
]
EXAMPLES = {
    "C.3": (
        REQUESTS,
        DEFAULT_TABLE,
        [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ],
    ),
    "C.4": (
        REQUESTS,
        DEFAULT_TABLE,
        [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ],
    ),
    "C.5": (
        RESPONSES,
        256,
        [
            (
                "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
                "6e1768747470733a2f2f7777772e6578616d706c652e636f6d"
            ),
            "4803333037c1c0bf",
            (
                "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f"
                "3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076"
                "657273696f6e3d31"
            ),
        ],
    ),
    "C.6": (
        RESPONSES,
        256,
        [
            "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
            "4883640effc1c0bf",
            (
                "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335df"
                "dfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"
            ),
        ],
    ),
}


class TestDynamicTable:
    """§2.3.2, §4."""

    def test_an_entry_larger_than_the_table_empties_it(self) -> None:
        """§4.4."""
        reader = decoder(limit=100)
        reader.decode(bytes.fromhex("3f45") + bytes.fromhex("400a637573746f6d2d6b65790d637573746f6d2d686561646572"))
        assert (reader.state.size, reader.state.capacity) == (55, 100)
        reader.decode(b"\x40\x01a\x46" + b"b" * 70)
        assert reader.state.size == 0
        assert not reader.state.entries

    def test_the_oldest_makes_room(self) -> None:
        reader = decoder(limit=100)
        for name in (b"a", b"b", b"c"):
            reader.decode(b"\x40\x01" + name + b"\x05value")
        assert [name for name, _ in reader.state.entries] == ["c", "b"]

    def test_a_size_update_evicts_and_zero_empties(self) -> None:
        """§4.3."""
        reader = decoder()
        reader.decode(b"\x40\x01a\x01b\x40\x01c\x01d")
        reader.decode(b"\x3f\x05")  # 36 octets
        assert reader.state.entries == (("c", "d"),)
        reader.decode(b"\x20\x3f\xe1\x1f\x82")
        assert not reader.state.entries
        assert reader.state.capacity == 4096

    def test_a_size_update_stands_at_the_beginning(self) -> None:
        """§4.2."""
        with pytest.raises(HpackError):
            decoder().decode(b"\x82\x20")

    def test_more_than_was_allowed_is_an_error(self) -> None:
        """§6.3."""
        assert decoder(limit=4096).decode(b"\x3f\xe1\x1f").state.capacity == 4096
        with pytest.raises(HpackError):
            decoder(limit=4096).decode(b"\x3f\xe2\x1f")
        with pytest.raises(HpackError):
            decoder(limit=0).decode(b"\x21")


class TestIntegers:
    """§5.1, C.1."""

    @pytest.mark.parametrize(("value", "prefix", "octets"), [(10, 5, "0a"), (1337, 5, "1f9a0a"), (42, 8, "2a")])
    def test_are_those_of_the_examples(self, value: int, prefix: int, octets: str) -> None:
        assert encode_integer(value, prefix).hex() == octets

    def test_are_read_to_their_end(self) -> None:
        assert decoder(limit=1 << 28).decode(encode_integer(1337, 5, 0x20)).state.capacity == 1337

    @pytest.mark.parametrize(
        "block",
        [b"\x3f", b"\x3f\x80", b"\xff\x80\x80\x80\x80", b"\xff\xff\xff\xff\xff\x01", b"\x3f" + b"\x80" * 10 + b"\x01"],
    )
    def test_without_end_or_too_large_are_errors(self, block: bytes) -> None:
        with pytest.raises(HpackError):
            decoder().decode(block)


class TestStrings:
    """§5.2, Appendix B."""

    @given(st.binary(max_size=300))
    def test_come_back(self, text: bytes) -> None:
        coded = huffman.encode(text)
        assert huffman.decode(coded) == text
        assert len(coded) == huffman.encoded_length(text)

    @given(st.binary(max_size=40))
    def test_of_any_octets_are_read_or_refused(self, octets: bytes) -> None:
        try:
            text = huffman.decode(octets)
        except huffman.HuffmanError:
            return
        assert huffman.encode(text) == octets

    @pytest.mark.parametrize(
        ("octets", "why"),
        [
            (b"\xff\xff\xff\xff", "EOS"),
            (b"\xff", "eight ones"),
            (b"\x07\xff", "more than seven"),
            (b"\x00", "zeros at the end"),
            (b"\x07\xff\xff\xff\xff", "EOS that ends in the upper half of an octet"),
        ],
    )
    def test_end_with_less_than_an_octet_of_ones(self, octets: bytes, why: str) -> None:
        with pytest.raises(huffman.HuffmanError):
            huffman.decode(octets)
        with pytest.raises(HpackError):
            decoder().decode(b"\x00\x01a" + bytes([0x80 | len(octets)]) + octets)

    def test_are_sent_as_they_are_where_the_code_is_no_shorter(self) -> None:
        assert hpack.encode_string("\n\n") == b"\x02\n\n"
        assert hpack.encode_string("") == b"\x00"

    @pytest.mark.parametrize("block", [b"\x00", b"\x00\x01a", b"\x00\x01a\x05b", b"\x00\x05a", b"\x00\x85a", b"\x40"])
    def test_that_break_off_are_errors(self, block: bytes) -> None:
        with pytest.raises(HpackError):
            decoder().decode(block)


class TestRepresentations:
    """§6, C.2."""

    @pytest.mark.parametrize(
        ("block", "field", "size"),
        [
            ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", ("custom-key", "custom-header"), 55),
            ("040c2f73616d706c652f70617468", (":path", "/sample/path"), 0),
            ("100870617373776f726406736563726574", ("password", "secret"), 0),
            ("82", (":method", "GET"), 0),
        ],
    )
    def test_are_those_of_the_examples(self, block: str, field: Field, size: int) -> None:
        decoded = decoder().decode(bytes.fromhex(block))
        assert decoded.fields == (field,)
        assert decoded.state.size == size

    @pytest.mark.parametrize("block", [b"\x80", b"\xbe", b"\x7f\x00\x01b", b"\x0f\x2f\x01b"])
    def test_of_what_is_in_no_table_are_errors(self, block: bytes) -> None:
        """§2.3.3, §6.1."""
        with pytest.raises(HpackError):
            decoder().decode(block)

    def test_that_are_sensitive_are_never_indexed(self) -> None:
        """§7.1.3."""
        for field in [("authorization", "x"), ("set-cookie", "a=b"), ("cookie", "a=" + "b" * 17)]:
            for block in (encode_stateless([field]), HpackEncoder().encode([field])):
                assert block[0] & 0xF0 == 0x10
        assert encode_stateless([("cookie", "a=" + "b" * 18)])[0] & 0xF0 == 0x00
        assert HpackEncoder().encode([("cookie", "a=" + "b" * 18)])[0] & 0xC0 == 0x40


@pytest.mark.parametrize("section", EXAMPLES)
class TestExamples:
    """C.3 to C.6."""

    def test_are_read(self, section: str) -> None:
        lists, limit, blocks = EXAMPLES[section]
        reader = decoder(limit=limit)
        for (wanted, size), block in zip(lists, blocks, strict=True):
            decoded = reader.decode(bytes.fromhex(block))
            assert decoded.fields == wanted
            assert decoded.state.size == size
            assert decoded.size == sum(len(name) + len(value) + 32 for name, value in wanted)

    def test_are_read_alike_the_second_time(self, section: str) -> None:
        lists, limit, blocks = EXAMPLES[section]
        states = TableStates(1 << 20, limit=limit)
        first, second = HpackDecoder(states), HpackDecoder(states)
        for (wanted, _), block in zip(lists, blocks, strict=True):
            decoded = first.decode(bytes.fromhex(block))
            assert second.decode(bytes.fromhex(block)) is decoded
            assert decoded.fields == wanted


class TestEncoder:
    @given(st.lists(FIELDS, max_size=6), st.lists(st.integers(0, 5000), max_size=6))
    def test_says_what_it_is_told_whatever_the_size_of_the_table(
        self, lists: list[list[Field]], sizes: list[int]
    ) -> None:
        encoder, reader = HpackEncoder(), decoder()
        for number, wanted in enumerate(lists):
            for size in sizes[number : number + 2]:
                encoder.resize(size)
            assert reader.decode(encoder.encode(wanted)).fields == tuple(wanted)
            assert reader.state.capacity == encoder.capacity
            assert reader.state.size <= encoder.capacity

    @given(FIELDS)
    def test_without_a_state_says_it_too_and_leaves_the_table(self, wanted: list[Field]) -> None:
        reader = decoder()
        reader.decode(b"\x40\x01a\x01b")
        before = reader.state
        assert reader.decode(encode_stateless(wanted)).fields == tuple(wanted)
        assert reader.state is before

    def test_refers_to_what_it_said_before(self) -> None:
        encoder = HpackEncoder()
        wanted = [("x-one", "1"), ("x-two", "2")]
        assert len(encoder.encode(wanted)) > 10
        assert encoder.encode(wanted) == b"\xbf\xbe"

    def test_tells_the_smallest_size_and_the_last(self) -> None:
        """§4.2."""
        encoder = HpackEncoder()
        for size in (100, 50, 200):
            encoder.resize(size)
        assert encoder.encode([]) == encode_integer(50, 5, 0x20) + encode_integer(200, 5, 0x20)
        assert encoder.encode([]) == b""
        encoder.resize(200)
        assert encoder.encode([]) == b""

    def test_of_a_small_table_says_so_first(self) -> None:
        assert HpackEncoder(most=0).encode([(":method", "GET")]) == b"\x20\x82"


class TestSharedStates:
    def test_are_one_object_for_equal_histories(self) -> None:
        states = TableStates(1 << 20)
        one, other = HpackDecoder(states), HpackDecoder(states)
        one.decode(b"\x40\x01a\x01b")
        assert one.state is not other.state
        other.decode(b"\x40\x81\x1f\x81\x8f")  # the same field, in other octets
        assert one.state is other.state

    def test_forget_everything_when_they_are_full_and_go_on(self) -> None:
        states = TableStates(100_000)
        reader = HpackDecoder(states)
        for number in range(2000):
            value = b"%05d" % number
            assert reader.decode(b"\x40\x01a\x05" + value).fields == (("a", value.decode()),)
            assert states.octets <= 100_000
        assert reader.decode(b"\xbe").fields == (("a", "01999"),)

    def test_keep_nothing_that_takes_too_much_of_them(self) -> None:
        states = TableStates(4096)
        reader = HpackDecoder(states)
        reader.decode(b"\x40\x01a\x7f\xe1\x06" + b"b" * 992)
        assert reader.decode(b"\xbe").fields[0][1] == "b" * 992
        assert states.octets < 1024

    def test_a_list_that_is_too_large_is_not_made_but_its_state_is(self) -> None:
        """RFC 9113 §10.5.1: "The field block MUST be processed to ensure a consistent connection state"."""
        reader = decoder(list_limit=1000)
        reader.decode(b"\x40\x01a\x7f\x81\x01" + b"b" * 256)
        decoded = reader.decode(b"\xbe" * 5 + b"\x40\x01c\x01d")
        assert decoded.fields == ()
        assert decoded.size == 5 * 289 + 34
        assert reader.state.entries[0] == ("c", "d")


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_octets_are_read_or_refused(blocks: list[bytes]) -> None:
    reader = decoder(list_limit=500, limit=200)
    for block in blocks:
        try:
            decoded = reader.decode(block)
        except HpackError:
            return
        assert decoded.state.size <= decoded.state.capacity <= 200
        assert decoded.size <= 500 or not decoded.fields
