"""RFC 9110 §8.4, §8.5, §8.7, §12.1, §12.5, §14.2, §15.5.7: variants beside a file, and what was compressed before."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from netlodge.core.clock import FakeClock
from netlodge.http.handlers import variants
from netlodge.http.handlers.files import Files, FilesSettings
from netlodge.http.handlers.root import Root
from netlodge.http.handlers.variants import Folders, VariantSettings
from netlodge.http.message import Response
from tests.http.handlers.asking import ask, content, get, holds, later, request_of

PAST = 1_600_000_000
TEXT = b"a line of text\n" * 200


@pytest.fixture
def www(tmp_path: Path) -> Path:
    root = tmp_path / "www"
    root.mkdir()
    return root


def put(root: Path, *names: str, past: int = PAST) -> None:
    """Files that say their names."""
    for name in names:
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
        os.utime(path, (past, past))


def files(
    root: Path, clock: FakeClock | None = None, *, fallback: str = "", compressed: bool = False, **alternatives: object
) -> Files:
    clock = clock or later()

    async def pause(seconds: float) -> None:
        clock.advance(seconds)

    settings = VariantSettings(**alternatives)  # type: ignore[arg-type]
    return Files(
        FilesSettings(root=root, alternatives=settings, fallback=fallback, is_compressed=compressed),
        clock=clock,
        pause=pause,
    )


def said(response: Response, *names: str) -> tuple[str | None, ...]:
    return tuple(response.fields.get(name) for name in names)


def sent(handler: Files, target: str, **fields: str) -> str:
    """The name of the file that is sent, which is its content; or the status."""
    response = get(handler, target, {name.replace("_", "-"): value for name, value in fields.items()})
    return content(response).decode() if response.status == 200 else str(response.status)


# Variants (§12.1).


@pytest.mark.parametrize("target", ["/page", "/page.html"])
def test_the_variant_in_the_language_of_the_client_is_sent(www: Path, target: str) -> None:
    put(www, "page.en.html", "page.de.html", "page.html.fr", "page.html", "pages.en.html", "page.x.html")
    handler = files(www, variants=True)
    for language, name in {
        "en": "page.en.html",
        "de-AT": "page.de.html",
        "fr, en;q=0.5": "page.html.fr",
        "it": "page.html",
    }.items():
        response = get(handler, target, {"accept-language": language})
        assert content(response) == name.encode()
        assert said(response, "content-type", "vary") == ("text/html; charset=utf-8", "accept-language")
        assert response.fields.get("content-location") == (None if "/" + name == target else name)
        assert response.fields.get("content-language") == {"page.html": None, "page.html.fr": "fr"}.get(name, name[5:7])
        assert holds(response)


def test_each_variant_has_an_entity_tag_of_its_own(www: Path) -> None:
    put(www, "page.en.html", "page.de.html")
    handler = files(www, variants=True)
    tags = {get(handler, "/page", {"accept-language": language}).fields.get("etag") for language in ("en", "de")}
    assert len(tags) == 2
    (tag,) = said(get(handler, "/page", {"accept-language": "en"}), "etag")
    assert tag is not None
    asked = {"accept-language": "en", "if-none-match": tag}
    response = get(handler, "/page", asked)
    # §15.4.5: Content-Location, ETag and Vary are in a 304; what else describes the content is not.
    assert response.status == 304
    assert said(response, "content-location", "etag", "vary", "content-language") == (
        "page.en.html",
        tag,
        "accept-language",
        None,
    )
    assert get(handler, "/page", asked | {"accept-language": "de"}).status == 200


def test_media_type_charset_and_coding_are_read_from_the_name(www: Path) -> None:
    put(www, "logo.svg", "logo.png", "text.ja.euc-jp.html", "text.utf-8.ja.html.gz")
    handler = files(www, variants=True)
    assert sent(handler, "/logo", accept="image/svg+xml") == "logo.svg"
    assert sent(handler, "/logo", accept="image/*") == "logo.png"
    response = get(handler, "/text", {"accept-charset": "euc-jp"})
    assert said(response, "content-type", "content-language", "content-encoding", "vary") == (
        "text/html; charset=EUC-JP", "ja", None, "accept-charset, accept-encoding",
    )  # fmt: skip
    response = get(handler, "/text", {"accept-encoding": "gzip", "accept-charset": "utf-8"})
    assert said(response, "content-type", "content-encoding") == ("text/html; charset=UTF-8", "gzip")
    # Under its own name the compressed file is a compressed file.
    assert response.fields.get("content-location") == "text.utf-8.ja.html"
    response = get(handler, "/text.utf-8.ja.html.gz", {"accept-encoding": "gzip"})
    assert said(response, "content-type", "content-encoding", "vary") == ("application/gzip", None, None)


def test_a_file_without_variants_is_served_as_it_is(www: Path) -> None:
    put(www, "page.html", "image.png")
    handler = files(www, variants=True)
    response = get(handler, "/image.png", {"accept": "text/html", "accept-language": "de"})
    assert content(response) == b"image.png"
    assert said(response, "vary", "content-location") == (None, None)
    # The one that there is goes to everyone.
    response = get(handler, "/page", {"accept": "image/png"})
    assert content(response) == b"page.html"
    assert said(response, "vary", "content-location") == (None, "page.html")


def test_the_variant_that_is_named_is_sent(www: Path) -> None:
    put(www, "page.en.html", "page.de.html", "page.de.latin1.html")
    handler = files(www, variants=True)
    response = get(handler, "/page.en.html", {"accept-language": "de"})
    assert content(response) == b"page.en.html"
    assert said(response, "content-language", "content-location", "vary") == ("en", None, None)
    assert sent(handler, "/page.de.html", accept_charset="iso-8859-1") == "page.de.latin1.html"
    assert sent(handler, "/page.fr.html") == "404"
    assert sent(handler, "/page.en.html/") == "404"


def test_the_index_of_a_folder_has_variants(www: Path) -> None:
    put(www, "index.en.html", "index.de.html", "sub/index.html", "sub/index.de.html")
    handler = files(www, variants=True)
    response = get(handler, "/", {"accept-language": "de"})
    assert content(response) == b"index.de.html"
    assert response.fields.get("content-location") == "index.de.html"
    assert content(get(handler, "/sub/", {"accept-language": "de"})) == b"sub/index.de.html"
    assert content(get(handler, "/sub/", {"accept-language": "en"})) == b"sub/index.html"


def test_a_folder_goes_before_variants_of_its_name(www: Path) -> None:
    put(www, "page/x.html", "page.en.html")
    assert get(files(www, variants=True), "/page").status == 301


def test_the_default_language_is_sent_where_none_is_acceptable(www: Path) -> None:
    put(www, "page.en.html", "page.de.html")
    assert sent(files(www, variants=True, language="de"), "/page", accept_language="it") == "page.de.html"
    assert sent(files(www, variants=True, language="fr"), "/page", accept_language="it") == "406"


# §15.5.7.


def test_what_is_not_acceptable_is_answered_with_a_list(www: Path) -> None:
    put(www, "p&ge.en.html", "p&ge.de.html.gz", "p&ge.fr.html")
    handler = files(www, variants=True)
    response = get(handler, "/p%26ge", {"accept-language": "it", "accept": "text/html"})
    assert response.status == 406
    assert said(response, "vary", "content-type") == (
        "accept-encoding, accept-language, accept",
        "text/html; charset=utf-8",
    )
    text = content(response).decode()
    assert '<a href="p&amp;ge.en.html">p&amp;ge.en.html</a> text/html; charset=utf-8, en</li>' in text
    assert '<a href="p&amp;ge.de.html">' in text
    response = get(handler, "/p%26ge", {"accept-language": "it"})
    assert response.fields.get("content-type") == "text/plain; charset=utf-8"
    assert "p&ge.fr.html  text/html; charset=utf-8, fr\n" in content(response).decode()
    assert response.remember is None


def test_a_link_is_no_scheme(www: Path) -> None:
    put(www, "a:b.en.html", "a:b.de.html")
    handler = files(www, variants=True)
    assert get(handler, "/a:b", {"accept-language": "de"}).fields.get("content-location") == "./a:b.de.html"


# Bounds, and files that are none.


def test_only_so_many_variants_are_looked_at(www: Path) -> None:
    put(www, "page.de.html", "page.en.html", "page.fr.html", "page.html")
    handler = files(www, variants=True, count=2)
    assert sent(handler, "/page", accept_language="en") == "page.en.html"
    assert sent(handler, "/page", accept_language="fr") == "406"
    # The file of the very name is always there.
    assert sent(handler, "/page.html", accept_language="fr") == "page.html"


def test_a_variant_that_is_no_file_is_passed_over(www: Path) -> None:
    put(www, "page.en.html")
    (www / "page.de.html").mkdir()
    (www / "page.fr.html").symlink_to("nowhere")
    handler = files(www, variants=True)
    assert sent(handler, "/page", accept_language="de, en;q=0.1") == "page.en.html"
    response = get(handler, "/page", {"accept-language": "fr, en;q=0.1"})
    assert content(response) == b"page.en.html"
    assert holds(response)
    put(www, "elsewhere")
    (www / "page.fr.html").unlink()
    (www / "page.fr.html").symlink_to("elsewhere")
    assert not holds(response)
    assert sent(handler, "/page", accept_language="fr, en;q=0.1") == "elsewhere"


def test_a_link_that_had_nothing_at_its_end_is_looked_at_again(www: Path, tmp_path: Path) -> None:
    put(www, "page.en.html", "sub/x")
    (www / "page.fr.html").symlink_to("sub/page")
    handler = files(www, variants=True)
    response = get(handler, "/page", {"accept-language": "fr, en;q=0.1"})
    assert holds(response)
    put(www, "sub/page")
    assert not holds(response)


def test_a_variant_outside_of_the_root_is_none(www: Path, tmp_path: Path) -> None:
    put(www, "page.en.html")
    put(tmp_path, "secret")
    (www / "page.de.html").symlink_to(tmp_path / "secret")
    (www / "only.de.html").symlink_to(tmp_path / "secret")
    handler = files(www, variants=True)
    assert sent(handler, "/page", accept_language="de, en;q=0.1") == "page.en.html"
    assert sent(handler, "/only") == "404"
    (www / "out").symlink_to(tmp_path)
    assert sent(handler, "/out/secret") == "404"


def test_a_variant_that_may_not_be_read_is_said_to_be_there_if_there_is_no_other(
    www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(www, "page.en.html", "page.de.html")
    open_file = Root.open_file

    def refuse(self: Root, path: bytes) -> tuple[int, os.stat_result]:
        if path.endswith(b"page.de.html"):
            raise PermissionError(13, "Permission denied", path)
        return open_file(self, path)

    monkeypatch.setattr(Root, "open_file", refuse)
    handler = files(www, variants=True)
    assert sent(handler, "/page", accept_language="de, en;q=0.1") == "page.en.html"
    assert sent(handler, "/page.de.html") == "403"


def test_a_folder_that_may_not_be_read_has_the_files_that_are_named(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(www, "page.html", "page.de.html")

    def refuse(self: Root, path: bytes) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(Root, "open_directory", refuse)
    handler = files(www, variants=True)
    assert sent(handler, "/page.html") == "page.html"
    assert sent(handler, "/page") == "404"


def test_names_that_nobody_could_ask_for_are_not_found(www: Path) -> None:
    put(www, ".page.html", "page.de.html\n", "plain")
    (www / os.fsdecode(b"page.\xff.html")).write_bytes(b"x")
    handler = files(www, variants=True)
    assert sent(handler, "/page") == "404"
    assert sent(handler, "/plain") == "plain"


# What is remembered, and for how long.


def test_a_new_variant_is_noticed_and_so_is_one_that_went(www: Path) -> None:
    put(www, "page.en.html")
    handler = files(www, variants=True)
    asked = {"accept-language": "de, en;q=0.1"}
    response = get(handler, "/page", asked)
    assert content(response) == b"page.en.html"
    assert holds(response)
    put(www, "page.de.html")
    assert not holds(response)
    response = get(handler, "/page", asked)
    assert content(response) == b"page.de.html"
    (www / "page.de.html").unlink()
    assert not holds(response)
    assert content(get(handler, "/page", asked)) == b"page.en.html"


def test_a_variant_that_changed_is_noticed(www: Path) -> None:
    put(www, "page.en.html", "page.de.html")
    handler = files(www, variants=True)
    response = get(handler, "/page", {"accept-language": "en"})
    (www / "page.en.html").write_bytes(b"changed")
    assert not holds(response)
    assert content(get(handler, "/page", {"accept-language": "en"})) == b"changed"


def test_what_is_found_in_a_folder_that_has_just_changed_is_promised_to_nobody(www: Path) -> None:
    put(www, "page.en.html", "page.de.html")
    moment = os.stat(www).st_ctime_ns / 1e9
    handler = files(www, FakeClock(moment + 0.001), variants=True)
    response = get(handler, "/page", {"accept-language": "en"})
    assert content(response) == b"page.en.html"
    assert response.remember is None
    assert holds(get(files(www, variants=True), "/page", {"accept-language": "en"}))


def test_the_names_in_a_folder_are_read_once(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(www, "page.en.html", "page.de.html")
    handler = files(www, variants=True)
    sent(handler, "/page", accept_language="en")
    monkeypatch.setattr(Root, "open_directory", None)
    monkeypatch.setattr(Root, "open_file", None)
    assert sent(handler, "/page", accept_language="en") == "page.en.html"  # from memory, too


def test_a_large_folder_is_read_in_a_thread(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "NAMES_AT_ONCE", 3)
    put(www, *(f"{name}.html" for name in "abcdefgh"), "page.de.html")
    handler = files(www, variants=True)
    assert sent(handler, "/page") == "page.de.html"
    with pytest.raises(StopIteration):  # the names are kept
        handler.handle(request_of("GET", "/page")).send(None)


def test_of_folders_the_names_are_kept_within_bounds(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "KEPT_NAMES", 5)
    for folder in "abc":
        put(www, f"{folder}/x.html", f"{folder}/y.html")
    folders = Folders(Root(www), later())

    async def read(folder: str) -> bool:
        before = folders._kept.get(os.fsencode(www / folder))
        return await folders.read(os.fsencode(www / folder)) is before

    def is_kept(folder: str) -> bool:
        with pytest.raises(StopIteration) as end:
            read(folder).send(None)
        return bool(end.value.value)

    assert [is_kept(folder) for folder in "ababcbac"] == [False, False, True, True, False, True, False, False]


# What was compressed before (§8.4).


def siblings(root: Path, name: str = "a.txt", *, past: int = PAST) -> None:
    for extension, octets in {"": TEXT, ".gz": b"gz" + TEXT, ".br": b"br" + TEXT, ".zst": b"zst" + TEXT}.items():
        (root / (name + extension)).write_bytes(octets)
        os.utime(root / (name + extension), (past, past))


@pytest.mark.parametrize(
    ("value", "begins", "coding"),
    [
        ("gzip", b"gz", "gzip"),
        ("gzip, br, zstd", b"br", "br"),
        ("gzip, zstd", b"zst", "zstd"),
        ("gzip, br;q=0.5", b"gz", "gzip"),
        ("deflate", b"a", None),
        ("gzip;q=0", b"a", None),
        (None, b"a", None),
    ],
)
def test_a_file_that_was_compressed_before_is_sent_in_its_place(
    www: Path, value: str | None, begins: bytes, coding: str | None
) -> None:
    siblings(www)
    handler = files(www, precompressed=True)
    response = get(handler, "/a.txt", {} if value is None else {"accept-encoding": value})
    assert content(response).startswith(begins)
    assert said(response, "content-encoding", "vary", "content-type") == (
        coding,
        "accept-encoding",
        "text/plain; charset=utf-8",
    )
    assert said(response, "content-location", "accept-ranges") == (None, "bytes")
    assert holds(response)


def test_each_coding_has_a_strong_tag_of_its_own(www: Path) -> None:
    siblings(www)
    handler = files(www, precompressed=True)
    tags = [
        get(handler, "/a.txt", {"accept-encoding": value}).fields.get("etag") for value in ("", "gzip", "br", "zstd")
    ]
    assert len(set(tags)) == 4
    assert all(tag is not None and tag.startswith('"') for tag in tags)


def test_without_siblings_nothing_varies_until_there_is_one(www: Path) -> None:
    put(www, "a.txt")
    handler = files(www, precompressed=True)
    response = get(handler, "/a.txt", {"accept-encoding": "gzip"})
    assert said(response, "vary", "content-encoding") == (None, None)
    assert holds(response)
    put(www, "a.txt.gz")
    assert not holds(response)
    assert sent(handler, "/a.txt", accept_encoding="gzip") == "a.txt.gz"


def test_a_sibling_that_is_older_than_its_file_is_not_sent(www: Path) -> None:
    siblings(www)
    handler = files(www, precompressed=True)
    response = get(handler, "/a.txt", {"accept-encoding": "gzip, br"})
    assert response.fields.get("content-encoding") == "br"
    os.utime(www / "a.txt", (PAST + 1, PAST + 1))
    assert not holds(response)
    response = get(handler, "/a.txt", {"accept-encoding": "gzip, br"})
    assert (content(response), response.fields.get("content-encoding")) == (TEXT, None)
    assert holds(response)
    # The coding is on offer, but for the one that is older.
    os.utime(www / "a.txt.gz", (PAST + 1, PAST + 1))
    assert not holds(response)
    assert get(handler, "/a.txt", {"accept-encoding": "gzip, br"}).fields.get("content-encoding") == "gzip"


def test_a_file_that_has_just_changed_makes_no_promise_for_its_siblings(www: Path) -> None:
    siblings(www, past=PAST)
    clock = FakeClock(os.stat(www / "a.txt").st_ctime_ns / 1e9 + 0.001)
    os.utime(www / "a.txt.gz")  # later than the file
    os.utime(www)
    handler = files(www, clock, precompressed=True)
    response = get(handler, "/a.txt", {"accept-encoding": "gzip"})
    assert response.fields.get("content-encoding") == "gzip"
    assert response.remember is None


def test_a_range_is_one_of_the_compressed_octets(www: Path) -> None:
    """§14.2: of the selected representation."""
    siblings(www)
    handler = files(www, precompressed=True)
    asked = {"accept-encoding": "gzip", "range": "bytes=0-4"}
    response = get(handler, "/a.txt", asked)
    assert (response.status, content(response)) == (206, (b"gz" + TEXT)[:5])
    assert said(response, "content-range", "content-encoding", "vary") == (
        f"bytes 0-4/{len(TEXT) + 2}", "gzip", "accept-encoding",
    )  # fmt: skip
    etag, plain = response.fields.get("etag"), get(handler, "/a.txt").fields.get("etag")
    assert etag
    assert plain
    assert get(handler, "/a.txt", asked | {"if-range": etag}).status == 206
    assert get(handler, "/a.txt", asked | {"if-range": plain}).status == 200
    assert content(get(handler, "/a.txt", {"range": "bytes=0-4"})) == TEXT[:5]


def test_of_several_ranges_of_compressed_octets_the_whole_is_sent(www: Path) -> None:
    siblings(www)
    handler = files(www, precompressed=True)
    response = get(handler, "/a.txt", {"accept-encoding": "gzip", "range": "bytes=0-4,9-10"})
    assert (response.status, content(response)) == (200, b"gz" + TEXT)
    assert get(handler, "/a.txt", {"range": "bytes=0-4,9-10"}).status == 206


def test_a_sibling_that_leads_outside_or_vanished_leaves_the_file(www: Path, tmp_path: Path) -> None:
    put(www, "a.txt")
    put(tmp_path, "secret")
    (www / "a.txt.br").symlink_to(tmp_path / "secret")
    (www / "a.txt.gz").mkdir()
    handler = files(www, precompressed=True)
    assert sent(handler, "/a.txt", accept_encoding="gzip, br") == "a.txt"
    assert sent(handler, "/a.txt.br", accept_encoding="gzip, br") == "404"


def test_a_sibling_alone_is_not_the_file(www: Path) -> None:
    put(www, "a.txt.gz")
    handler = files(www, precompressed=True)
    assert sent(handler, "/a.txt", accept_encoding="gzip") == "404"
    assert sent(handler, "/no/a.txt", accept_encoding="gzip") == "404"


def test_head_has_the_fields_of_get(www: Path) -> None:
    siblings(www)
    handler = files(www, precompressed=True)
    head = ask(handler, "HEAD", "/a.txt", {"accept-encoding": "gzip"})
    assert list(head.fields) == list(get(handler, "/a.txt", {"accept-encoding": "gzip"}).fields)


def test_variants_and_siblings_go_together(www: Path) -> None:
    put(www, "README", "README.gz", "page.en.html", "page.en.html.br", "page.de.html")
    handler = files(www, variants=True, precompressed=True)
    assert sent(handler, "/README", accept_encoding="gzip") == "README.gz"
    assert sent(handler, "/page", accept_encoding="gzip, br", accept_language="en") == "page.en.html.br"
    assert sent(handler, "/page", accept_encoding="gzip, br", accept_language="de") == "page.de.html"
    response = get(handler, "/page.en.html", {"accept-encoding": "br"})
    assert said(response, "content-encoding", "content-location", "content-language") == ("br", None, "en")
    # A compressed variant that is older than what it was made of.
    os.utime(www / "page.en.html", (PAST + 1, PAST + 1))
    assert sent(handler, "/page", accept_encoding="gzip, br", accept_language="en") == "page.en.html"


def test_the_fallback_may_be_compressed_and_has_no_variants(www: Path) -> None:
    put(www, "app.html", "app.html.gz", "app.de.html")
    handler = files(www, fallback="app.html", variants=True, precompressed=True)
    response = get(handler, "/some/page", {"accept-encoding": "gzip", "accept-language": "de"})
    assert content(response) == b"app.html.gz"
    assert said(response, "vary", "content-location") == ("accept-encoding, accept", None)
    assert holds(response)
    put(www, "some/page")
    assert not holds(response)


# With compression on the fly around it.


@pytest.mark.parametrize("precompressed", [False, True])
def test_what_may_be_compressed_says_so_in_all_its_answers(www: Path, precompressed: bool) -> None:
    (www / "a.txt").write_bytes(TEXT)
    (www / "a.png").write_bytes(TEXT)
    (www / "small.txt").write_bytes(b"x")
    (www / "large.txt").write_bytes(TEXT * 100)
    handler = files(www, compressed=True, precompressed=precompressed)
    for target, vary in {
        "/a.txt": "accept-encoding",
        "/large.txt": "accept-encoding",
        "/a.png": None,
        "/small.txt": None,
    }.items():
        response = get(handler, target)
        content(response)
        assert response.fields.get("vary") == vary
        asked = {"if-none-match": response.fields.get("etag") or ""}
        assert get(handler, target, asked).fields.get("vary") == vary


def test_what_was_compressed_before_needs_no_more(www: Path) -> None:
    (www / "a.txt").write_bytes(TEXT)
    (www / "a.txt.gz").write_bytes(gzip.compress(TEXT))
    response = get(files(www, compressed=True, precompressed=True), "/a.txt", {"accept-encoding": "gzip"})
    assert gzip.decompress(content(response)) == TEXT
    assert response.fields.get("vary") == "accept-encoding"
