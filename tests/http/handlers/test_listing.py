"""Directory listings."""

from __future__ import annotations

import json
import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from netlodge.http.handlers.files import Files, FilesSettings
from netlodge.http.handlers.listing import readable_size
from tests.http.handlers.asking import content, get, later

SECOND = 1_600_000_000  # 2020-09-13 12:26:40


@pytest.fixture
def www(tmp_path: Path) -> Path:
    root = tmp_path / "www"
    (root / "d" / "Zoo").mkdir(parents=True)
    for name, size in [
        ("b.txt", 1),
        ("A.txt", 1536),
        ("é ü.txt", 2),
        ("<i>&\"'.html", 3),
        ("a:b", 4),
        ("50%#?.txt", 5),
    ]:
        (root / "d" / name).write_bytes(b"x" * size)
        os.utime(root / "d" / name, (SECOND, SECOND))
    return root


def files(root: Path, **settings: object) -> Files:
    return Files(FilesSettings(root=root, **{"listing": True, **settings}), clock=later())  # type: ignore[arg-type]


def listed(handler: Files, target: str) -> list[str]:
    found = json.loads(content(get(handler, target, {"accept": "application/json"})))
    return [entry["name"] for entry in found["entries"]]


class Links(HTMLParser):
    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_directory_is_not_listed_unless_that_is_switched_on(www: Path) -> None:
    assert get(files(www, listing=False), "/d/").status == 404
    assert get(files(www), "/d/").status == 200


def test_an_index_goes_before_a_listing(www: Path) -> None:
    (www / "d" / "index.html").write_text("index")
    assert content(get(files(www), "/d/")) == b"index"


def test_the_page_links_to_every_file_with_its_name_encoded(www: Path) -> None:
    handler = files(www)
    response = get(handler, "/d/")
    assert response.fields.get("content-type") == "text/html; charset=utf-8"
    page = Links(content(response))
    assert page.links[:2] == ["../", "./Zoo/"]
    assert len(page.links) == 8
    for link in page.links[2:]:
        assert get(handler, "/d" + link.removeprefix(".")).status == 200, link


def test_names_are_text_and_never_markup(www: Path) -> None:
    page = Links(content(get(files(www), "/d/")))
    assert "i" not in page.tags
    assert "<i>&\"'.html" in page.text


def test_the_page_tells_sizes_and_dates_as_people_do(www: Path) -> None:
    text = Links(content(get(files(www), "/d/"))).text
    assert "1.5 KiB" in text
    assert "2020-09-13 12:26" in text
    assert "7 entries" in text
    assert text.startswith("\n\n\n\n/d/") or "/d/" in text


def test_directories_come_first_and_names_are_sorted_without_regard_to_case(www: Path) -> None:
    assert listed(files(www), "/d/") == ["Zoo", "50%#?.txt", "<i>&\"'.html", "A.txt", "a:b", "b.txt", "é ü.txt"]


def test_json_tells_what_programs_need(www: Path) -> None:
    response = get(files(www), "/d/?a=b&format=json")
    assert response.fields.get("content-type") == "application/json"
    found = json.loads(content(response))
    assert found["path"] == "/d/"
    assert found["complete"] is True
    entries = {entry["name"]: entry for entry in found["entries"]}
    assert entries["A.txt"] == {"name": "A.txt", "type": "file", "size": 1536, "modified": "2020-09-13T12:26:40Z"}
    assert entries["Zoo"]["type"] == "directory"
    assert "size" not in entries["Zoo"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.9", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        ("image/png", "text/html; charset=utf-8"),
    ],
)
def test_accept_chooses_the_form(www: Path, accept: str, kind: str) -> None:
    response = get(files(www), "/d/", {"accept": accept})
    assert response.fields.get("content-type") == kind
    assert response.fields.get("vary") == "accept"


def test_the_top_has_no_parent(www: Path) -> None:
    assert Links(content(get(files(www), "/"))).links == ["./d/"]


def test_what_would_not_be_served_is_not_listed(www: Path) -> None:
    (www / "d" / ".hidden").write_text("x")
    (www / "d" / "back\\slash").write_text("x")
    (www / "d" / "dead").symlink_to("nothing")
    (www / "d" / "out").symlink_to(www.parent)
    (www / "d" / "in").symlink_to("b.txt")
    os.mkfifo(www / "d" / "fifo")
    with open(os.fsencode(www / "d") + b"/\xff", "w"):
        pass
    names = listed(files(www), "/d/")
    assert "in" in names
    assert not {".hidden", "back\\slash", "dead", "out", "fifo"} & set(names)
    assert len(names) == 8
    assert ".hidden" in listed(files(www, hidden=True), "/d/")


def test_well_known_is_listed_at_the_top_alone(www: Path) -> None:
    (www / ".well-known").mkdir()
    (www / "d" / ".well-known").mkdir()
    assert listed(files(www), "/") == [".well-known", "d"]
    assert ".well-known" not in listed(files(www), "/d/")


def test_a_listing_is_bounded_and_says_so(www: Path) -> None:
    handler = files(www, listing_entries=3)
    assert len(listed(handler, "/d/")) == 3
    assert json.loads(content(get(handler, "/d/?format=json")))["complete"] is False
    assert "limits.listing_entries" in content(get(handler, "/d/")).decode()
    assert json.loads(content(get(files(www, listing_entries=7), "/d/?format=json")))["complete"] is True


def test_a_listing_is_not_remembered_and_not_cached_unasked(www: Path) -> None:
    response = get(files(www), "/d/")
    assert response.remember is None
    assert response.fields.get("cache-control") == "no-cache"


def test_a_directory_that_is_outside_is_not_listed(www: Path) -> None:
    (www / "out").symlink_to(www.parent)
    assert get(files(www), "/out/").status == 404


def test_a_directory_that_is_swapped_for_one_outside_is_not_listed(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (www / "out").symlink_to(www.parent)
    handler = files(www)
    monkeypatch.setattr(type(handler._root), "contains", lambda self, path: True)
    assert get(handler, "/out/").status == 404


def test_a_stamp_that_no_calendar_can_tell_is_left_empty(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlodge.http.handlers.listing.gmtime", lambda second: _raise())
    found = json.loads(content(get(files(www), "/d/?format=json")))
    assert {entry["modified"] for entry in found["entries"]} == {""}


def _raise() -> object:
    raise OverflowError


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (10 * 1024, "10 KiB"),
        (5 << 40, "5.0 TiB"),
        (1 << 60, "1048576 TiB"),
    ],
)
def test_sizes_are_readable(octets: int, text: str) -> None:
    assert readable_size(octets) == text


# Preconditions. RFC 9110 §13.1.1, §13.1.2.


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_a_listing_heeds_preconditions(www: Path, accept: str) -> None:
    handler = files(www)
    response = get(handler, "/d/", {"accept": accept})
    tag = response.fields.get("etag") or ""
    assert tag.startswith('"')
    assert get(handler, "/d/", {"accept": accept, "if-match": '"other"'}).status == 412
    assert get(handler, "/d/", {"accept": accept, "if-match": tag}).status == 200
    for condition in ("*", tag):
        same = get(handler, "/d/", {"accept": accept, "if-none-match": condition})
        assert (same.status, same.body) == (304, b"")
        assert list(same.fields) == [("cache-control", "no-cache"), ("vary", "accept"), ("etag", tag)]
    (www / "d" / "new").touch()
    assert get(handler, "/d/", {"accept": accept, "if-none-match": tag}).status == 200
