"""RFC 3986 §2.1, §3.3, §6.2.2; RFC 3629 §3; RFC 8615 §3."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from netlodge.http.message import HttpError
from netlodge.http.rules.paths import (
    UNFINISHED,
    FilePath,
    encode_path,
    encode_segment,
    file_path,
    has_dot_segment,
    merge_slashes,
    normal_form,
    reference,
)


@pytest.mark.parametrize(
    ("path", "segments", "is_directory"),
    [
        ("/", (), True),
        ("", (), True),
        ("/a", ("a",), False),
        ("/a/", ("a",), True),
        ("/a/b.txt", ("a", "b.txt"), False),
        ("/%61", ("a",), False),
        ("/a%20b", ("a b",), False),
        ("/a+b", ("a+b",), False),
        ("/%C3%A9t%c3%a9", ("été",), False),
        ("/\xc3\xa9", ("é",), False),
        ("/%2561", ("%61",), False),
        ("/%252e%252e/x", ("%2e%2e", "x"), False),
        ("/a..b", ("a..b",), False),
        ("/x...", ("x...",), False),
        ("/.well-known/acme", (".well-known", "acme"), False),
        ("/~me/a:b@c", ("~me", "a:b@c"), False),
        ("/a%0ab", ("a\nb",), False),
    ],
)
def test_a_path_is_decoded_once(path: str, segments: tuple[str, ...], is_directory: bool) -> None:
    assert file_path(path) == FilePath(segments, is_directory)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/..", 400),
        ("/../etc/passwd", 400),
        ("/a/../../etc/passwd", 400),
        ("/a/./b", 400),
        ("/%2e%2e/etc/passwd", 400),
        ("/%2E./etc/passwd", 400),
        ("/.%2e", 400),
        ("/%2e", 400),
        ("/%00", 400),
        ("/a%00.html", 400),
        ("/a\\b", 400),
        ("/..%5c..%5cwindows", 400),
        ("/%", 400),
        ("/%4", 400),
        ("/%zz", 400),
        ("/%u002e", 400),
        ("/%ff", 400),
        ("/%c0%ae%c0%ae/etc/passwd", 400),  # overlong dots
        ("/%e0%80%ae", 400),
        ("/%c0%af", 400),  # overlong slash
        ("/%ed%a0%80", 400),  # a surrogate
        ("/\xe9", 400),
        ("/..%2fetc", 404),
        ("/a%2fb", 404),
        ("/%2f", 404),
        ("//etc/passwd", 404),
        ("/a//b", 404),
        ("/a//", 404),
        ("/.git/config", 404),
        ("/%2egit/config", 404),
        ("/a/.htpasswd", 404),
        ("/...", 404),
        ("/a/.well-known", 404),
        ("/.well-known/.secret", 404),
        ("/.well-knownx", 404),
    ],
)
def test_a_path_that_means_to_climb_or_hides_is_refused(path: str, status: int) -> None:
    with pytest.raises(HttpError) as refused:
        file_path(path)
    assert refused.value.status == status


def test_hidden_names_are_served_where_that_is_wanted_and_dot_segments_never() -> None:
    assert file_path("/.git/config", may_hide=True).segments == (".git", "config")
    with pytest.raises(HttpError):
        file_path("/../x", may_hide=True)


@pytest.mark.parametrize("may_hide", [True, False])
def test_names_of_unfinished_files_are_never_served(may_hide: bool) -> None:
    with pytest.raises(HttpError) as refused:
        file_path(f"/a/{UNFINISHED}x", may_hide=may_hide)
    assert refused.value.status == 404


@given(st.text(st.sampled_from("/.%25ef0cAa\\\0é\xff"), max_size=24))
def test_what_is_let_pass_can_only_lead_down(path: str) -> None:
    try:
        found = file_path("/" + path)
    except HttpError as error:
        event(f"refused with {error.status}")
        return
    for segment in found.segments:
        assert segment not in ("", ".", "..")
        assert not {"/", "\\", "\0"} & set(segment)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"), min_size=1), max_size=4))
def test_any_other_name_is_reached_by_its_encoded_form(names: list[str]) -> None:
    if any(name.startswith(".") for name in names):
        names = [name.lstrip(".") or "x" for name in names]
    path = "/" + "/".join(quote(name, safe="") for name in names)
    assert file_path(path).segments == tuple(names)


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/a/b", "/a/b"),
        ("/%61%2D%2e%5F%7e", "/a-._~"),
        ("/%2fa%c3%a9", "/%2Fa%C3%A9"),
        ("/%2561", "/%2561"),
    ],
)
def test_equivalent_paths_have_one_normal_form(path: str, normal: str) -> None:
    assert normal_form(path) == normal
    assert normal_form(normal) == normal


def test_a_malformed_escape_has_no_normal_form() -> None:
    with pytest.raises(HttpError) as refused:
        normal_form("/%6")
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/../b", True),
        ("/..", True),
        ("/./a", True),
        ("/a/.", True),
        ("/.git", False),
        ("/a..", False),
        ("/a", False),
    ],
)
def test_dot_segments_are_seen(path: str, expected: bool) -> None:
    assert has_dot_segment(path) is expected


def test_runs_of_slashes_become_one() -> None:
    assert merge_slashes("//a///b//") == "/a/b/"


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/a/", None, "/a/"),
        ("/a", "", "/a?"),
        ("/a", "x=1&y=%20", "/a?x=1&y=%20"),
        ("//evil.example/", None, "/evil.example/"),
        ("///evil.example", None, "/evil.example"),
        ("/\\evil.example", None, "/%5Cevil.example"),
        ("/a\r\nx: y", "q\n", "/a%0D%0Ax:%20y?q%0A"),
        ("/%2f", None, "/%2f"),
        ("/\xc3\xa9", None, "/%C3%A9"),
        ("", None, "/"),
    ],
)
def test_a_location_stays_on_this_server(path: str, query: str | None, expected: str) -> None:
    assert reference(path, query) == expected


@given(st.text(st.characters(max_codepoint=255)))
def test_no_path_makes_a_location_that_names_a_host(path: str) -> None:
    location = reference(path)
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert urlsplit(location).netloc == ""
    assert location.isascii()
    assert not set('\\\r\n \t\0<>"') & set(location)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_an_encoded_segment_is_one_segment(name: str) -> None:
    encoded = encode_segment(name)
    assert "/" not in encoded
    assert urlsplit("./" + encoded).path == "./" + encoded


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("/café/", "/caf%C3%A9/"),
        ("/caf%c3%a9/", "/caf%C3%A9/"),
        ("/a b", "/a%20b"),
        ("/100%", "/100%25"),
        ("/%61", "/a"),
    ],
)
def test_a_path_in_the_settings_may_be_written_as_people_write(written: str, normal: str) -> None:
    assert encode_path(written) == normal
