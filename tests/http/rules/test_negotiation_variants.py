"""RFC 9110 §12.1, §12.4, §12.5: what the names of variants say, and which one is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.message import Fields
from netlodge.http.rules.media_types import MediaTypes
from netlodge.http.rules.negotiation_variants import (
    EXTENSIONS,
    Dimensions,
    Variant,
    Wishes,
    is_extension,
    read_variant,
    split_name,
)

TYPES = MediaTypes()
HTML = "text/html; charset=utf-8"


def read(name: str, base: str = "page", *asked: str) -> Variant | None:
    return read_variant(name, base, asked, TYPES.of_extension, TYPES.of(base))


# Names.


@pytest.mark.parametrize(
    ("name", "base", "asked"),
    [
        ("page", "page", ()),
        ("page.html", "page", ("html",)),
        ("page.de.HTML", "page", ("html", "de")),
        ("page.html.gz", "page", ("gz", "html")),
        ("v1.2", "v1.2", ()),
        ("v1.2.html", "v1.2", ("html",)),
        ("jquery.min.js", "jquery.min", ("js",)),
        (".html", ".html", ()),
        ("html", "html", ()),
        ("a.", "a.", ()),
        ("a" + ".de" * 20, "a" + ".de" * (20 - EXTENSIONS), ("de",) * EXTENSIONS),
    ],
)
def test_a_name_is_what_its_variants_have_in_common(name: str, base: str, asked: tuple[str, ...]) -> None:
    assert split_name(name, TYPES.of_extension) == (base, asked)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("page", Variant("page", "application/octet-stream")),
        ("page.html", Variant("page.html", HTML)),
        ("page.de.html", Variant("page.de.html", HTML, "de")),
        ("page.html.pt-BR", Variant("page.html.pt-BR", HTML, "pt-BR")),
        ("page.ja.euc-jp.html", Variant("page.ja.euc-jp.html", "text/html; charset=EUC-JP", "ja")),
        ("page.HTML.latin1.GZ", Variant("page.HTML.latin1.GZ", "text/html; charset=ISO-8859-1", "", "gzip")),
        ("page.svg.br", Variant("page.svg.br", "image/svg+xml", "", "br")),
        ("page.de", Variant("page.de", "application/octet-stream", "de")),
        # A media type and a language: what the other extensions leave it to be.
        ("page.pl.html", Variant("page.pl.html", HTML, "pl")),
        ("page.html.cs", Variant("page.html.cs", HTML, "cs")),
        ("page.pl", Variant("page.pl", "text/plain; charset=utf-8")),
        ("page.cs.pl", Variant("page.cs.pl", "text/plain; charset=utf-8", "cs")),
        # Not all known, or too much said.
        ("page.2.html", None),
        ("page..html", None),
        ("page.de.fr.html", None),
        ("page.html.css", None),
        ("page.utf-8.latin1.html", None),
        ("page.html.gz.br", None),
        ("page.pl.de.html.cs", None),
        ("page.gz", None),
        ("page" + ".de" * 9, None),
        # Other files.
        ("pages.html", None),
        ("pag.html", None),
    ],
)
def test_extensions_in_any_order_say_what_is_in_a_file(name: str, expected: Variant | None) -> None:
    assert read(name) == expected


@pytest.mark.parametrize(
    ("asked", "name", "is_one"),
    [
        (("html",), "page.de.html", True),
        (("html",), "page.HTML.de", True),
        (("html",), "page.de", False),
        (("html", "de"), "page.html.de", True),
        (("de", "de"), "page.html.de", False),
        (("html",), "page", False),
    ],
)
def test_a_variant_has_every_extension_that_is_asked_for(asked: tuple[str, ...], name: str, is_one: bool) -> None:
    assert (read(name, "page", *asked) is not None) is is_one


def test_a_charset_replaces_that_of_the_type() -> None:
    types = MediaTypes({".t": 'text/x; charset="utf-8"; a=b'})
    variant = read_variant("p.t.koi8-r", "p", (), types.of_extension, "")
    assert variant is not None
    assert variant.content_type == "text/x; a=b; charset=KOI8-R"
    assert (variant.media_type, variant.charset) == ("text/x", "koi8-r")


@pytest.mark.parametrize(
    ("text", "says"), [("gz", True), ("UTF-8", True), ("html", True), ("de", True), ("min", False), ("", False)]
)
def test_what_says_something(text: str, says: bool) -> None:
    assert is_extension(text, TYPES.of_extension) is says


@given(st.lists(st.sampled_from(["html", "de", "pl", "gz", "utf-8", "css", "x", ""]), max_size=6))
def test_a_name_that_is_split_is_a_variant_of_itself(parts: list[str]) -> None:
    name = ".".join(["page", *parts])
    base, asked = split_name(name, TYPES.of_extension)
    assert name.startswith(base)
    variant = read_variant(name, base, asked, TYPES.of_extension, "x/y")
    assert variant is None or variant.name == name


# Choosing.


def choose(names: str, language: str = "", **fields: str) -> str | None:
    """The name that is sent, of names behind `page.`."""
    variants = [read(f"page.{name}") for name in names.split()]
    assert None not in variants
    known = [variant for variant in variants if variant]
    asked = Fields((name.replace("_", "-"), value) for name, value in fields.items())
    chosen = Wishes(asked, Dimensions.of(known)).choose(known, language)
    return chosen.name.removeprefix("page.") if chosen else None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("html", ""),
        ("de.html", ""),
        ("de.html en.html", "accept-language"),
        ("html en.html", "accept-language"),
        ("de.html DE.html", ""),
        ("svg png", "accept"),
        ("html utf-8.html", ""),
        ("html latin1.html", "accept-charset"),
        ("html png", "accept"),
        ("html html.gz", "accept-encoding"),
        ("svg.gz", "accept-encoding"),
        ("de.html en.latin1.html.gz fr.pdf", "accept, accept-charset, accept-encoding, accept-language"),
    ],
)
def test_vary_names_what_the_variants_differ_in(names: str, expected: str) -> None:
    known = [variant for name in names.split() if (variant := read(f"page.{name}"))]
    assert Dimensions.of(known).vary == expected


@pytest.mark.parametrize(
    ("names", "accept_language", "expected"),
    [
        ("en.html de.html", "de", "de.html"),
        ("en.html de.html", "de;q=0.5, en;q=0.6", "en.html"),
        ("en.html de.html", "de, en", "de.html"),
        ("en.html de.html", "en-US, *;q=0.5", "en.html"),
        ("de.html de-AT.html", "de-AT, de;q=0.9", "de-AT.html"),
        # Looked up, where filtering finds nothing.
        ("en.html de.html", "de-AT", "de.html"),
        ("en.html de.html", "de-AT, en;q=0.1", "en.html"),
        ("en.html de.html", "de-AT;q=0.5, en-GB;q=0.6", "en.html"),
        ("zh-Hans.html zh-Hant.html", "zh-Hant-TW", "zh-Hant.html"),
        # What is in no language is for those whom nothing else suits.
        ("html de.html", "de", "de.html"),
        ("html de.html", "de-AT", "de.html"),
        ("html de.html", "fr", "html"),
        ("html de.html", "*", "html"),
        ("html de.html", "*;q=0", "html"),
        ("html de.html", "de;q=0", "html"),
        # Nothing is acceptable.
        ("en.html de.html", "fr", None),
        ("en.html de.html", "", None),
        ("en.html de.html", "de;q=0, *;q=0", None),
        ("en.html de.html", "de;q=0, de-AT", None),
    ],
)
def test_the_language(names: str, accept_language: str, expected: str | None) -> None:
    assert choose(names, accept_language=accept_language) == expected


def test_without_a_field_the_general_variant_goes_first_or_that_of_the_default_language() -> None:
    assert choose("de.html en.html html") == "html"
    assert choose("de.html en.html") == "de.html"
    assert choose("de.html en.html html", "en") == "en.html"
    assert choose("de.html en.html html", "EN", accept_language="*") == "en.html"


def test_the_default_language_is_for_those_whom_none_suits() -> None:
    assert choose("de.html en.html", "en", accept_language="fr") == "en.html"
    assert choose("de.html en.html", "it", accept_language="fr") is None
    # Other dimensions still count.
    assert choose("de.html en.html en.pdf", "en", accept_language="fr", accept="application/pdf") == "en.pdf"
    assert choose("de.html en.html en.pdf", "en", accept_language="fr", accept="image/png") is None


@pytest.mark.parametrize(
    ("names", "accept", "expected"),
    [
        ("svg png", "image/svg+xml", "svg"),
        ("svg png", "image/png;q=0.5, image/*", "svg"),
        ("svg png", "*/*", "png"),
        ("css html js", "*/*", "html"),
        ("svg png", "text/html", None),
        # Of one there is no choice, so nothing is refused.
        ("svg", "text/html", "svg"),
        ("svg de.svg", "text/html", "svg"),
    ],
)
def test_the_media_type(names: str, accept: str, expected: str | None) -> None:
    assert choose(names, accept=accept) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("iso-8859-1", "latin1.html"),
        ("utf-8;q=0.5, *", "latin1.html"),
        ("UTF-8", "html"),
        ("koi8-r", None),
        ("koi8-r, *;q=0.1", "html"),
        ("utf-8;x=y, iso-8859-1", "latin1.html"),
    ],
)
def test_the_charset(value: str, expected: str | None) -> None:
    assert choose("html latin1.html", accept_charset=value) == expected
    # An image has none, and suits everyone.
    assert choose("html latin1.html png", accept_charset=value, accept="image/png") == "png"


@pytest.mark.parametrize(
    ("names", "value", "expected"),
    [
        ("html html.gz html.br html.zst", "gzip, br, zstd", "html.br"),
        ("html html.gz html.br", "gzip, br;q=0.9", "html.gz"),
        ("html html.gz", "gzip;q=0", "html"),
        ("html html.gz", "identity;q=0", None),
        ("html html.gz", None, "html"),
        ("html.gz", None, "html.gz"),
        ("html.gz", "br", None),
        ("html html.z", "compress", "html.z"),
    ],
)
def test_the_coding(names: str, value: str | None, expected: str | None) -> None:
    assert (choose(names) if value is None else choose(names, accept_encoding=value)) == expected


def test_a_coding_outweighs_nothing_else() -> None:
    assert choose("de.html en.html.gz", accept_language="de, en;q=0.5", accept_encoding="gzip") == "de.html"


def test_the_product_of_the_qualities_counts() -> None:
    names = "en.html de.pdf"
    browser = "text/html, */*;q=0.8"
    assert choose(names, accept=browser, accept_language="de, en;q=0.1") == "de.pdf"
    assert choose(names, accept=browser, accept_language="de, en;q=0.9") == "en.html"


@given(
    st.permutations(["de.html", "en.html", "html", "fr.pdf", "png", "html.gz"]),
    st.sampled_from(["", "de, *;q=0.5", "fr"]),
)
def test_the_order_of_the_variants_plays_no_part(names: list[str], languages: str) -> None:
    assert choose(" ".join(names), accept_language=languages) == choose(
        " ".join(sorted(names)), accept_language=languages
    )
