"""Addresses to listen on, and where a log goes."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.config.address import Address, LogTarget
from netlodge.config.errors import SettingValueError


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("0.0.0.0:0", Address("0.0.0.0", 0)),
        ("[::1]:65535", Address("::1", 65535)),
        ("[fe80::1%eth0]:80", Address("fe80::1%eth0", 80)),
        ("unix:run/web.sock", Address("", 0, "run/web.sock")),
    ],
)
def test_an_address_is_read_and_written_back(written: str, address: Address) -> None:
    assert Address.parse(written) == address
    assert str(address) == written


def test_the_longer_ways_of_writing_ipv6_are_one_address() -> None:
    assert Address.parse("[0:0:0:0:0:0:0:1]:80") == Address.parse("[::1]:80")


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("8080", 'must be an address with a port from 0 to 65535, such as "127.0.0.1:8080" or "[::1]:8080"'),
        ("127.0.0.1", 'must be an address with a port from 0 to 65535, such as "127.0.0.1:8080" or "[::1]:8080"'),
        ("127.0.0.1:65536", 'must be an address with a port from 0 to 65535, such as "127.0.0.1:8080" or "[::1]:8080"'),
        ("127.0.0.1:+80", 'must be an address with a port from 0 to 65535, such as "127.0.0.1:8080" or "[::1]:8080"'),
        ("127.0.0.1:８０", 'must be an address with a port from 0 to 65535, such as "127.0.0.1:8080" or "[::1]:8080"'),
        (
            ":80",
            'names no address; write "127.0.0.1:80" for this machine alone, or both "0.0.0.0:80" and "[::]:80" for everyone',
        ),
        ("localhost:80", 'must name a numeric address, not a host name; write "127.0.0.1:80" and "[::1]:80"'),
        ("example.org:80", 'must name a numeric address, not a host name; write a number such as "127.0.0.1"'),
        ("127.1:80", 'must name a numeric address, not a host name; write a number such as "127.0.0.1"'),
        ("::1:8080", 'must have brackets around IPv6 alone; did you mean "[::1]:8080"?'),
        ("[127.0.0.1]:80", 'must have brackets around IPv6 alone; did you mean "127.0.0.1:80"?'),
        ("unix:", 'names no socket; write "unix:" and a path, such as "unix:run/web.sock"'),
    ],
)
def test_what_is_no_address_is_refused_with_a_hint(written: str, complaint: str) -> None:
    with pytest.raises(SettingValueError) as caught:
        Address.parse(written)
    assert str(caught.value) == complaint


@given(st.ip_addresses(), st.integers(0, 65535))
def test_addresses_read_back_as_they_were_written(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    address = Address(str(ip), port)
    assert Address.parse(str(address)) == address


@given(st.text())
def test_no_text_raises_anything_but_the_complaint(text: str) -> None:
    for written in (text, f"[{text}]:80", f"{text}:80", f"unix:{text}"):
        with suppress(SettingValueError):
            address = Address.parse(written)
            assert Address.parse(str(address)) == address


def test_a_relative_socket_is_counted_from_the_base() -> None:
    assert Address.parse("unix:run/web.sock").resolved(Path("/lodge")) == Address("", 0, "/lodge/run/web.sock")
    assert Address.parse("127.0.0.1:80").resolved(Path("/lodge")) == Address("127.0.0.1", 80)


def test_a_socket_path_that_the_kernel_would_cut_is_refused() -> None:
    assert len(Address.parse("unix:" + "a" * 100).resolved(Path("/base1")).path) == 107
    with pytest.raises(SettingValueError, match="has more than 107 octets"):
        Address.parse("unix:" + "a" * 101).resolved(Path("/base1"))


@pytest.mark.parametrize(
    ("written", "place"),
    [("", ""), ("-", "-"), ("off", "off"), ("log/a.log", "/lodge/log/a.log"), ("/a.log", "/a.log")],
)
def test_a_log_goes_to_a_file_or_to_a_place_with_a_name(written: str, place: str) -> None:
    assert LogTarget.parse(written).resolved(Path("/lodge")) == place
