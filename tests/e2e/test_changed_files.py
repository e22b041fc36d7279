"""Files that change while they are hot: from the very next request on, on whatever connection and worker, the new content is served.

Each file is asked for until every worker remembers its answer; then it changes; then each connection must tell.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.http_client import Answer, Client
from tests.e2e.lodge import Lodge, worker_of

SETTINGS = """
[[web.site]]
error_pages = { 404 = "site/404.html" }
routes = [
  { path = "/", files = "site", index = ["first.html", "index.html"] },
  { path = "/app/", files = "app", fallback = "index.html" },
  { path = "/list/", files = "list", listing = true },
]
"""
PER_WORKER = 2
HOT = 5


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    user = 'user = "nobody"\n' if os.geteuid() == 0 else ""
    with contextlib.ExitStack() as stack:
        lodge = Lodge({"index.html": b"index", "404.html": b"not here"}, user + SETTINGS)
        for name in ("app", "list"):
            (lodge.folder / name).mkdir()
        (lodge.folder / "app" / "index.html").write_text("the application")
        (lodge.folder / "secret.txt").write_text("outside")
        yield stack.enter_context(lodge)


@pytest.fixture
def clients(lodge: Lodge) -> Iterator[list[Client]]:
    """Connections to both workers, as many to each, taking turns."""
    with contextlib.ExitStack() as stack:
        pids = [worker.pid for worker in lodge.workers]
        held: dict[int, list[Client]] = {pid: [] for pid in pids}
        while any(len(each) < PER_WORKER for each in held.values()):
            client = stack.enter_context(Client(lodge.port()))
            client.ask("/")  # so that somebody has accepted it
            held[worker_of(client.sock.getsockname()[1], pids)].append(client)
        yield [client for turn in zip(*held.values(), strict=False) for client in turn][: 2 * PER_WORKER]


def heat(clients: list[Client], target: str, *fields: str) -> Answer:
    """Ask until all workers remember the answer, by its octets and by its meaning; all say the same."""
    answers = [client.ask(target, *fields) for _ in range(HOT) for client in clients]
    answers += [client.ask(target, f"User-Agent: {n}", *fields) for n in range(3) for client in clients]
    assert len({answer.body for answer in answers}) == 1
    return answers[-1]


def told(clients: list[Client], target: str, *fields: str) -> Answer:
    """The next answer of every connection, which must be the same."""
    answers = [client.ask(target, *fields) for client in clients]
    answers += [client.ask(target, f"User-Agent: after {n}", *fields) for n, client in enumerate(clients)]
    assert len({(answer.status, answer.body, answer.fields.get("etag")) for answer in answers}) == 1
    return answers[0]


def in_place(path: Path, content: bytes) -> None:
    """The same inode, and never any other size."""
    descriptor = os.open(path, os.O_WRONLY)
    os.pwrite(descriptor, content, 0)
    os.close(descriptor)


def by_replacing(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, path)


def by_truncating(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def by_mapping(path: Path, content: bytes) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[:] = content
        mapped.flush()


def with_the_old_date(path: Path, content: bytes) -> None:
    before = path.stat()
    in_place(path, content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def by_replacing_with_the_old_date(path: Path, content: bytes) -> None:
    before = path.stat()
    by_replacing(path, content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


WAYS = [in_place, by_replacing, by_truncating, by_mapping, with_the_old_date, by_replacing_with_the_old_date]


@pytest.mark.parametrize("size", [6, 70_000, 2_000_000])
@pytest.mark.parametrize("change", WAYS, ids=lambda way: way.__name__)
def test_new_content_of_the_same_size(
    lodge: Lodge, clients: list[Client], change: Callable[[Path, bytes], None], size: int
) -> None:
    path = lodge.put("hot.txt", b"a" * size)
    before = heat(clients, "/hot.txt")
    change(path, b"b" * size)
    after = told(clients, "/hot.txt")
    assert after.body == b"b" * size
    assert after.fields["etag"] != before.fields["etag"]
    change(path, b"c" * size)  # in the same second
    assert told(clients, "/hot.txt").body == b"c" * size


def test_an_old_entity_tag_fits_no_more(lodge: Lodge, clients: list[Client]) -> None:
    path = lodge.put("tag.txt", b"one")
    tag = heat(clients, "/tag.txt").fields["etag"]
    assert heat(clients, "/tag.txt", f"If-None-Match: {tag}").status == 304
    in_place(path, b"two")
    answer = told(clients, "/tag.txt", f"If-None-Match: {tag}")
    assert (answer.status, answer.body) == (200, b"two")


def test_an_old_range_is_cut_from_the_new_file(lodge: Lodge, clients: list[Client]) -> None:
    path = lodge.put("range.txt", b"0123456789")
    tag = heat(clients, "/range.txt", "Range: bytes=2-3").fields["etag"]
    heat(clients, "/range.txt", "Range: bytes=2-3", f"If-Range: {tag}")
    in_place(path, b"abcdefghij")
    assert told(clients, "/range.txt", "Range: bytes=2-3").body == b"cd"
    answer = told(clients, "/range.txt", "Range: bytes=2-3", f"If-Range: {tag}")
    assert (answer.status, answer.body) == (200, b"abcdefghij")


def test_a_deleted_file_is_gone(lodge: Lodge, clients: list[Client]) -> None:
    path = lodge.put("gone.txt", b"here")
    heat(clients, "/gone.txt")
    path.unlink()
    assert told(clients, "/gone.txt").status == 404
    path.write_bytes(b"back")
    assert told(clients, "/gone.txt").body == b"back"


def test_a_file_that_was_missed_often_is_there_when_it_comes(lodge: Lodge, clients: list[Client]) -> None:
    (lodge.site / "late.txt").unlink(missing_ok=True)
    assert heat(clients, "/late.txt").status == 404
    lodge.put("late.txt", b"late")
    assert told(clients, "/late.txt").body == b"late"


def test_a_file_that_may_be_read_no_more_is_forbidden(lodge: Lodge, clients: list[Client]) -> None:
    path = lodge.put("shut.txt", b"open")
    heat(clients, "/shut.txt")
    path.chmod(0)
    assert told(clients, "/shut.txt").status == 403
    path.chmod(0o644)
    assert told(clients, "/shut.txt").body == b"open"


def test_a_folder_that_may_be_entered_no_more_is_forbidden(lodge: Lodge, clients: list[Client]) -> None:
    folder = lodge.put("shut/a.txt", b"open").parent
    heat(clients, "/shut/a.txt")
    folder.chmod(0)
    assert told(clients, "/shut/a.txt").status == 403
    folder.chmod(0o755)


def test_a_link_is_followed_where_it_leads_now(lodge: Lodge, clients: list[Client]) -> None:
    lodge.put("one.txt", b"one")
    lodge.put("two.txt", b"two")
    link = lodge.site / "link.txt"

    def lead(target: str) -> None:
        (lodge.site / "link.new").symlink_to(target)
        os.replace(lodge.site / "link.new", link)

    lead("one.txt")
    assert heat(clients, "/link.txt").body == b"one"
    lead("two.txt")
    assert told(clients, "/link.txt").body == b"two"
    heat(clients, "/link.txt")
    lead("../secret.txt")
    assert told(clients, "/link.txt").status == 404
    lead("one.txt")
    assert told(clients, "/link.txt").body == b"one"


def test_a_linked_folder_is_followed_where_it_leads_now(lodge: Lodge, clients: list[Client]) -> None:
    lodge.put("v1/a.txt", b"v1")
    lodge.put("v2/a.txt", b"v2")
    current = lodge.site / "current"
    current.symlink_to("v1")
    assert heat(clients, "/current/a.txt").body == b"v1"
    (lodge.site / "next").symlink_to("v2")
    os.replace(lodge.site / "next", current)
    assert told(clients, "/current/a.txt").body == b"v2"
    heat(clients, "/current/a.txt")
    (lodge.site / "next").symlink_to(lodge.folder)
    os.replace(lodge.site / "next", current)
    assert told(clients, "/current/secret.txt").status == 404
    assert told(clients, "/current/a.txt").status == 404


def test_an_index_of_higher_rank_takes_over(lodge: Lodge, clients: list[Client]) -> None:
    lodge.put("ranked/index.html", b"second")
    assert heat(clients, "/ranked/").body == b"second"
    first = lodge.put("ranked/first.html", b"first")
    assert told(clients, "/ranked/").body == b"first"
    heat(clients, "/ranked/")
    first.unlink()
    assert told(clients, "/ranked/").body == b"second"


def test_a_renamed_folder_is_gone_and_another_in_its_place_is_served(lodge: Lodge, clients: list[Client]) -> None:
    lodge.put("room/a.txt", b"old")
    lodge.put("room.new/a.txt", b"new")
    heat(clients, "/room/a.txt")
    assert heat(clients, "/room").status == 301
    os.rename(lodge.site / "room", lodge.site / "room.old")
    assert told(clients, "/room/a.txt").status == 404
    assert told(clients, "/room").status == 404
    os.rename(lodge.site / "room.new", lodge.site / "room")
    assert told(clients, "/room/a.txt").body == b"new"
    assert told(clients, "/room").status == 301


def test_a_folder_that_becomes_a_file(lodge: Lodge, clients: list[Client]) -> None:
    lodge.put("either/index.html", b"folder")
    assert heat(clients, "/either").status == 301
    assert heat(clients, "/either/").body == b"folder"
    os.rename(lodge.site / "either", lodge.site / "either.old")
    lodge.put("either", b"file")
    assert told(clients, "/either").body == b"file"
    assert told(clients, "/either/").status == 404


def test_an_error_page_changes(lodge: Lodge, clients: list[Client]) -> None:
    assert heat(clients, "/no/such/page").body == b"not here"
    lodge.put("404.html", b"nowhere!")
    assert told(clients, "/no/such/page").body == b"nowhere!"


def test_a_page_takes_the_place_of_the_fallback(lodge: Lodge, clients: list[Client]) -> None:
    accept = "Accept: text/html"
    assert heat(clients, "/app/settings", accept).body == b"the application"
    (lodge.folder / "app" / "index.html").write_text("the next version")
    assert told(clients, "/app/settings", accept).body == b"the next version"
    heat(clients, "/app/settings", accept)
    (lodge.folder / "app" / "settings").write_text("a page of its own")
    assert told(clients, "/app/settings", accept).body == b"a page of its own"


def test_a_listing_shows_what_is_there_now(lodge: Lodge, clients: list[Client]) -> None:
    accept = "Accept: application/json"
    assert b"new.txt" not in heat(clients, "/list/", accept).body
    (lodge.folder / "list" / "new.txt").write_text("x")
    assert b"new.txt" in told(clients, "/list/", accept).body
    heat(clients, "/list/", accept)
    (lodge.folder / "list" / "new.txt").unlink()
    assert b"new.txt" not in told(clients, "/list/", accept).body


def test_two_hundred_changes_are_each_seen_by_the_very_next_request(lodge: Lodge, clients: list[Client]) -> None:
    path = lodge.put("rapid.txt", b"%08d" % 0)
    tags = {heat(clients, "/rapid.txt").fields["etag"]}
    last = ""
    for number in range(1, 201):
        content = b"%08d" % number
        WAYS[number % len(WAYS)](path, content)
        client = clients[number % len(clients)]
        fields = [f"If-None-Match: {last}"] if last and number % 3 == 0 else []
        answer = client.ask("/rapid.txt", *fields)
        assert answer.status == 200, number
        assert answer.body == content, number
        last = answer.fields["etag"]
        assert last not in tags, number
        tags.add(last)
        # Some versions become hot on some connections, some do not.
        for other in clients[: number % 4]:
            for _ in range(3):
                assert other.ask("/rapid.txt").body == content, number
