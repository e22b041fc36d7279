"""RFC 4632 §3.1, RFC 4291 §2.3 and §2.5.5.2: networks, and who is in them."""

from __future__ import annotations

import pytest

from netlodge.core.networks import NetworkError, Networks, parse_network


@pytest.mark.parametrize(
    ("networks", "host", "is_in"),
    [
        (["192.168.0.0/16"], "192.168.255.1", True),
        (["192.168.0.0/16"], "192.169.0.1", False),
        (["10.0.0.7"], "10.0.0.7", True),
        (["10.0.0.7"], "10.0.0.8", False),
        (["0.0.0.0/0"], "203.0.113.9", True),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["2001:db8::/32"], "2001:db8:ffff::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["::1"], "::1", True),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["::/0"], "10.0.0.1", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["::ffff:10.0.0.0/104"], "10.1.2.3", True),
        (["::ffff:10.0.0.0/104"], "::ffff:11.0.0.1", False),
        (["::/0"], "::ffff:10.1.2.3", False),
        (["10.0.0.0/8", "::1", "172.16.0.0/12"], "172.31.0.1", True),
        (["unix:"], "unix:", True),
        (["127.0.0.0/8", "::/0"], "unix:", False),
        (["0.0.0.0/0", "::/0"], "", False),
        (["0.0.0.0/0", "::/0"], "www.example.org", False),
        (["0.0.0.0/0", "::/0"], "1.2.3", False),
        (["0.0.0.0/0", "::/0"], "::g", False),
        ([], "127.0.0.1", False),
    ],
)
def test_an_address_is_in_a_network_or_not(networks: list[str], host: str, is_in: bool) -> None:
    assert (host in Networks(networks)) is is_in


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("192.168.1.5/16", 'did you mean the network "192.168.0.0/16", or the address "192.168.1.5"?'),
        ("2001:db8::1/32", 'did you mean the network "2001:db8::/32", or the address "2001:db8::1"?'),
        ("localhost", 'must be a network or an address, such as "192.168.0.0/16" or "::1"'),
        ("10.0.0.0/33", "must be a network or an address"),
        ("010.0.0.1", "must be a network or an address"),
        ("fe80::1%eth0", "must not have a zone"),
        ("", "must be a network or an address"),
    ],
)
def test_what_is_no_network_is_said_with_what_may_be_meant(text: str, complaint: str) -> None:
    with pytest.raises(NetworkError) as caught:
        parse_network(text)
    assert complaint in str(caught.value)
