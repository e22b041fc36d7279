"""Uploads: what may be put and deleted, what it leaves, and what is refused before it comes."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from errno import EACCES, EAGAIN, EDQUOT, EFBIG, EILSEQ, EIO, EMFILE, ENAMETOOLONG, ENOSPC, EROFS
from pathlib import Path

import pytest

from netlodge.core.clock import FakeClock
from netlodge.http.handlers.files import Files, FilesSettings
from netlodge.http.handlers.turns import Turns
from netlodge.http.handlers.uploads import BATCH, ByMethod, Uploads
from netlodge.http.message import BodyError, Fields, HttpError, Response
from netlodge.http.rules import paths
from netlodge.http.rules.dates import imf_fixdate
from netlodge.store.new_files import NewFile, NewFiles
from tests.http.handlers.asking import answer, content, get, holds, later, request_of

Site = tuple[Uploads, Path]


class Pieces:
    """The content of a request, as it comes: octets, a step that is taken between them, or an error."""

    def __init__(self, *pieces: bytes | Exception | Callable[[], object], length: int | None = None) -> None:
        self.length = length
        self.trailers: Fields | None = None
        self._pieces = list(pieces)

    async def read(self) -> bytes:
        while self._pieces:
            piece = self._pieces.pop(0)
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, bytes):
                return piece
            piece()
        return b""


UNWANTED = Pieces(AssertionError("the content should not have been asked for"))


def put(
    site: Uploads, target: str, body: bytes | Pieces = b"content", fields: Mapping[str, str] | None = None
) -> Response:
    request = request_of("PUT", target, fields)
    request.body = Pieces(body, length=len(body)) if isinstance(body, bytes) and body else body or Pieces(length=0)
    return answer(site, request)


def delete(site: Uploads, target: str, fields: Mapping[str, str] | None = None) -> Response:
    return answer(site, request_of("DELETE", target, fields))


def uploads(
    root: Path, *, may_hide: bool = False, listing: bool = False, nameless: bool = True, most: int = 100
) -> Uploads:
    clock = later()
    files = Files(FilesSettings(root=root, hidden=may_hide, listing=listing), clock=clock)
    new_files = NewFiles(root.parent / "records", paths.UNFINISHED, nameless=nameless)
    turns = Turns(most, "uploads", setting="limits.uploads")
    return Uploads(files, root, may_hide=may_hide, new_files=new_files, clock=clock, turns=turns)


@pytest.fixture
def www(tmp_path: Path) -> Path:
    root = tmp_path / "www"
    (root / "sub").mkdir(parents=True)
    (root / "old.txt").write_text("old")
    (root / ".hidden").write_text("hidden")
    os.mkfifo(root / "pipe")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("secret")
    (root / "to-old").symlink_to("old.txt")
    (root / "to-nothing").symlink_to("nothing")
    (root / "to-sub").symlink_to("sub")
    (root / "to-itself").symlink_to("to-itself")
    (root / "to-secret").symlink_to("../outside/secret.txt")
    (root / "to-outside").symlink_to("../outside")
    return root


@pytest.fixture(params=[True, False], ids=["nameless", "named"])
def site(request: pytest.FixtureRequest, www: Path) -> Uploads:
    return uploads(www, nameless=request.param)


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below the folder above the root, but for the locks: kind and content."""
    found: dict[str, tuple[int, bytes]] = {}
    for path in sorted(root.parent.rglob("*")):
        if path.is_relative_to(root.parent / "records"):
            continue
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            octets = os.readlink(path).encode()
        else:
            octets = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path.relative_to(root.parent))] = (status.st_mode, octets)
    return found


@contextmanager
def nothing_changes(root: Path) -> Iterator[None]:
    before = snapshot(root)
    yield
    assert snapshot(root) == before


# --- §9.3.4 PUT -------------------------------------------------------------------------------------------------------


def test_a_file_that_was_not_there_is_created(site: Uploads, www: Path) -> None:
    response = put(site, "/new.txt", b"<new>")
    assert (response.status, response.body) == (201, b"")
    assert (www / "new.txt").read_bytes() == b"<new>"
    assert content(get(site, "/new.txt")) == b"<new>"
    assert not [name for name in os.listdir(www) if name.startswith(paths.UNFINISHED)]


def test_a_file_that_was_there_is_replaced(site: Uploads, www: Path) -> None:
    before = get(site, "/old.txt")
    assert holds(before)
    response = put(site, "/old.txt", b"NEW")
    assert (response.status, response.body) == (204, b"")
    assert not holds(before)
    assert content(get(site, "/old.txt")) == b"NEW"
    assert not [name for name in os.listdir(www) if name.startswith(paths.UNFINISHED)]


def test_the_entity_tag_of_the_answer_is_that_of_the_file(site: Uploads) -> None:
    before = get(site, "/old.txt").fields.get("etag")
    for target in ("/old.txt", "/new.txt"):
        etag = put(site, target).fields.get("etag")
        assert etag is not None
        assert etag != before
        assert get(site, target).fields.get("etag") == etag


def test_there_is_no_tag_where_the_file_system_has_no_fine_stamps(
    site: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def coarse(self: NewFile, *, mode: int | None, stamp: int) -> None:
        sync(self, mode=mode, stamp=stamp // 10**9 * 10**9 - 10**9)

    sync = NewFile.sync
    monkeypatch.setattr(NewFile, "sync", coarse)
    response = put(site, "/new.txt")
    assert response.status == 201
    assert "etag" not in response.fields


def test_content_comes_in_pieces_of_any_size(site: Uploads, www: Path) -> None:
    pieces = [bytes([n % 256]) * (n * 997 % (2 * BATCH)) for n in range(1, 40)]
    assert put(site, "/new.bin", Pieces(*pieces)).status == 201
    assert (www / "new.bin").read_bytes() == b"".join(pieces)


def test_content_may_be_empty(site: Uploads, www: Path) -> None:
    assert put(site, "/old.txt", b"").status == 204
    assert (www / "old.txt").read_bytes() == b""


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/sub/a.txt", "sub/a.txt"),
        ("/to-sub/a.txt", "sub/a.txt"),
        ("/%C3%A9t%C3%A9%20%25.txt", "été %.txt"),
        ("/a%0D%0Ab", None),
        ("/a?b=c", "a"),
        ("/.well-known/../x", None),
        ("/-rf", "-rf"),
        ("/...", None),
    ],
)
def test_names_are_those_of_reading(target: str, name: str | None, site: Uploads, www: Path) -> None:
    response = put(site, target)
    if name is None:
        assert response.status in (400, 404)
    else:
        assert response.status == 201
        assert (www / name).read_bytes() == b"content"


def test_permissions_of_a_file_are_kept_but_for_those_that_give_rights(site: Uploads, www: Path) -> None:
    (www / "old.txt").chmod(0o4751)
    put(site, "/old.txt")
    assert stat.S_IMODE((www / "old.txt").stat().st_mode) == 0o751


def test_permissions_of_a_new_file_are_those_of_the_umask(site: Uploads, www: Path) -> None:
    before = os.umask(0o077)
    try:
        put(site, "/new.txt")
    finally:
        os.umask(before)
    assert stat.S_IMODE((www / "new.txt").stat().st_mode) == 0o600


def test_other_names_of_a_file_keep_what_they_had(site: Uploads, www: Path) -> None:
    (www / "same.txt").hardlink_to(www / "old.txt")
    put(site, "/old.txt", b"new")
    assert (www / "same.txt").read_text() == "old"


def test_who_reads_the_old_file_reads_it_to_its_end(site: Uploads, www: Path) -> None:
    with (www / "old.txt").open() as file:
        put(site, "/old.txt")
        assert file.read() == "old"


@pytest.mark.parametrize(
    ("target", "status"), [("/to-old", 204), ("/to-nothing", 201), ("/to-secret", 201), ("/to-itself", 201)]
)
def test_a_link_is_replaced_and_never_followed(target: str, status: int, site: Uploads, www: Path) -> None:
    assert put(site, target, b"new").status == status
    assert not (www / target[1:]).is_symlink()
    assert (www / target[1:]).read_bytes() == b"new"
    assert (www / "old.txt").read_text() == "old"
    assert (www / "../outside/secret.txt").read_text() == "secret"
    assert not (www / "nothing").exists()


def test_the_file_is_on_the_disk_before_the_answer(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, bool]] = []

    def noted(what: str, name: str) -> None:
        function = getattr(os, name)

        def call(*arguments: object, **more: object) -> None:
            function(*arguments, **more)
            done.append((what, (www / "new.txt").exists()))

        monkeypatch.setattr(os, name, call)

    noted("sync", "fsync")
    noted("place", "link")
    put(uploads(www), "/new.txt")
    assert done == [("sync", False), ("place", True), ("sync", True)]
    noted("place", "rename")
    done.clear()
    put(uploads(www, nameless=False), "/old.txt")
    assert [what for what, _ in done] == ["sync", "place", "sync"]


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/sub", 409),
        ("/sub/", 409),
        ("/new/", 409),
        ("/to-sub", 409),
        ("/pipe", 409),
        ("/missing/a.txt", 409),
        ("/old.txt/a.txt", 409),
        ("/to-itself/a.txt", 409),
        ("/to-outside/a.txt", 409),
        ("/to-outside/secret.txt", 409),
        ("/.hidden", 404),
        ("/.new", 404),
        ("/sub/.new", 404),
        ("/a%2Fb", 404),
        ("/a%00b", 400),
        ("/a%0Ab", 400),
        ("/a%7F", 400),
        ("/%2E%2E/a", 400),
        ("/sub/%2e%2e/%2e%2e/a", 400),
        ("/..%2fa", 404),
        ("/%5C..%5Ca", 400),
        ("/%C0%AE%C0%AE/a", 400),
        ("/%", 400),
        ("/" + "a" * 300, 414),
        ("/" + "a" * 300 + "/b", 414),
        ("/" + "a/" * 3000 + "b", 414),
        (f"/{paths.UNFINISHED}x", 404),
    ],
)
def test_paths_that_can_be_no_file_are_refused_before_the_content(
    target: str, status: int, site: Uploads, www: Path
) -> None:
    with nothing_changes(www):
        assert put(site, target, UNWANTED).status == status


def test_folders_are_told_from_paths_outside_by_nobody(site: Uploads) -> None:
    there, missing = put(site, "/to-outside/a.txt"), put(site, "/missing/a.txt")
    assert there.body == missing.body


@pytest.mark.parametrize("target", ["/", ""])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_the_root_is_there_for_reading_alone(method: str, target: str, site: Uploads, www: Path) -> None:
    with nothing_changes(www):
        response = answer(site, request_of(method, target))
        assert (response.status, response.fields.get("allow")) == (405, "GET, HEAD, OPTIONS")
    assert answer(site, request_of("OPTIONS", target)).fields.get("allow") == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("target", ["/old.txt", "/new.txt"])
def test_files_tell_their_methods(target: str, site: Uploads) -> None:
    response = answer(site, request_of("OPTIONS", target))
    assert (response.status, response.fields.get("allow")) == (204, "GET, HEAD, OPTIONS, PUT, DELETE")
    response = answer(site, request_of("POST", target))
    assert (response.status, response.fields.get("allow")) == (405, "GET, HEAD, OPTIONS, PUT, DELETE")
    assert answer(site, request_of("BREW", target)).status == 501


def test_hidden_files_are_put_where_they_are_served(www: Path) -> None:
    site = uploads(www, may_hide=True)
    assert put(site, "/.hidden").status == 204
    assert delete(site, "/.hidden").status == 204
    with nothing_changes(www):
        assert put(site, f"/{paths.UNFINISHED}x", UNWANTED).status == 404


def test_a_part_is_refused(site: Uploads, www: Path) -> None:
    """§14.5"""
    with nothing_changes(www):
        assert put(site, "/old.txt", UNWANTED, {"content-range": "bytes 0-2/10"}).status == 400


def test_a_content_coding_is_refused_and_what_is_taken_is_told(site: Uploads, www: Path) -> None:
    """§12.5.3, §15.5.16"""
    with nothing_changes(www):
        response = put(site, "/old.txt", UNWANTED, {"content-encoding": "gzip"})
        assert (response.status, response.fields.get("accept-encoding")) == (415, "identity")
    assert put(site, "/old.txt", b"x", {"content-encoding": "identity"}).status == 204


def test_content_for_which_there_is_no_room_is_refused_before_it_comes(site: Uploads, www: Path) -> None:
    """RFC 4918 §11.5"""
    with nothing_changes(www):
        body = Pieces(AssertionError("asked for"), length=1 << 60)
        assert put(site, "/new.txt", body).status == 507


def test_a_file_system_that_does_not_tell_its_size_has_room(site: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fstatvfs", lambda _: os.statvfs_result((4096, 4096, *[0] * 8)))
    assert put(site, "/new.txt").status == 201


@pytest.mark.parametrize("error", [EACCES, EROFS])
def test_a_folder_that_may_not_be_written_is_told_before_the_content(
    error: int, site: Uploads, www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: NewFile, folder: int, where: bytes) -> None:
        raise OSError(error, "no")

    monkeypatch.setattr(NewFile, "open", refuse)
    with nothing_changes(www):
        assert put(site, "/new.txt", UNWANTED).status == 403


def test_double_slashes_are_redirected_with_their_method(site: Uploads, www: Path) -> None:
    with nothing_changes(www):
        response = put(site, "//sub//a.txt", UNWANTED)
        assert (response.status, response.fields.get("location")) == (308, "/sub/a.txt")


# --- What ends early leaves nothing ------------------------------------------------------------------------------------


def descriptors() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue
    return {each for each in found if "/www" in each}


@pytest.mark.parametrize("target", ["/old.txt", "/new.txt"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ENOSPC, 507),
        (EDQUOT, 507),
        (EFBIG, 413),
        (EIO, 500),
        (EROFS, 403),
        (EMFILE, 503),
        (EAGAIN, 503),
        (ENAMETOOLONG, 414),
        (EILSEQ, 400),
    ],
)
@pytest.mark.parametrize("step", ["write", "sync", "put"])
def test_a_failure_of_the_disk_is_told(
    step: str, error: int, status: int, target: str, site: Uploads, www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: NewFile, *arguments: object, **more: object) -> None:
        raise OSError(error, "no")

    monkeypatch.setattr(NewFile, step, fail)
    with nothing_changes(www):
        response = put(site, target)
        assert response.status == status
        assert ("retry-after" in response.fields) is (status == 503)
    assert not descriptors()


def broken(error: Exception) -> Pieces:
    return Pieces(b"x" * 1000, b"y" * BATCH, b"z", error)


def test_a_client_that_vanishes_leaves_nothing(site: Uploads, www: Path) -> None:
    with nothing_changes(www):
        with pytest.raises(BodyError):
            put(site, "/old.txt", broken(BodyError("gone")))
        site._threads.shutdown()
    assert not descriptors()


def test_content_that_is_too_long_or_too_slow_leaves_nothing(site: Uploads, www: Path) -> None:
    with nothing_changes(www):
        assert put(site, "/new.txt", broken(HttpError(413))).status == 413
        assert put(site, "/old.txt", broken(HttpError(408))).status == 408
    assert not descriptors()


@pytest.mark.parametrize("steps", range(12))
def test_a_request_that_is_cancelled_anywhere_leaves_nothing_or_a_whole_file(
    steps: int, site: Uploads, www: Path
) -> None:
    class Slow(Pieces):
        async def read(self) -> bytes:
            await asyncio.sleep(0)
            return await super().read()

    async def cancelled() -> None:
        request = request_of("PUT", "/new.txt")
        request.body = Slow(b"a" * BATCH, b"b", b"c" * BATCH)
        task = asyncio.ensure_future(site.handle(request))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    site._threads.shutdown()
    assert not descriptors()
    assert not [name for name in os.listdir(www) if name.startswith(paths.UNFINISHED)]
    if (www / "new.txt").exists():
        assert (www / "new.txt").stat().st_size == 2 * BATCH + 1


def test_a_failure_of_the_disk_ends_the_upload_while_content_comes(
    site: Uploads, www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: NewFile, pieces: object) -> None:
        raise OSError(ENOSPC, "full")

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * BATCH

    class Endless(Pieces):
        def __init__(self) -> None:
            super().__init__()
            self._endless = endless()

        async def read(self) -> bytes:
            return await anext(self._endless)

    monkeypatch.setattr(NewFile, "write", fail)
    with nothing_changes(www):
        assert put(site, "/new.txt", Endless()).status == 507


# --- §13 Preconditions -------------------------------------------------------------------------------------------------


def current(site: Uploads, target: str = "/old.txt") -> str:
    etag = get(site, target).fields.get("etag")
    assert etag is not None
    return etag


def test_if_match_lets_only_the_version_be_replaced_that_was_meant(site: Uploads, www: Path) -> None:
    first = current(site)
    assert put(site, "/old.txt", b"1", {"if-match": f'"other", {first}'}).status == 204
    with nothing_changes(www):
        assert put(site, "/old.txt", UNWANTED, {"if-match": first}).status == 412
        assert put(site, "/old.txt", UNWANTED, {"if-match": f"W/{current(site)}"}).status == 412
        assert put(site, "/new.txt", UNWANTED, {"if-match": "*"}).status == 412
        assert put(site, "/to-nothing", UNWANTED, {"if-match": "*"}).status == 412
    assert put(site, "/old.txt", b"2", {"if-match": "*"}).status == 204
    assert put(site, "/to-old", b"3", {"if-match": current(site, "/to-old")}).status == 204


def test_the_tag_of_an_answer_serves_for_the_next_request(site: Uploads) -> None:
    etag = put(site, "/new.txt", b"1").fields.get("etag") or ""
    etag = put(site, "/new.txt", b"2", {"if-match": etag}).fields.get("etag") or ""
    assert delete(site, "/new.txt", {"if-match": etag}).status == 204


def test_if_none_match_any_only_creates(site: Uploads, www: Path) -> None:
    with nothing_changes(www):
        assert put(site, "/old.txt", UNWANTED, {"if-none-match": "*"}).status == 412
        assert put(site, "/to-old", UNWANTED, {"if-none-match": "*"}).status == 412
    assert put(site, "/new.txt", b"1", {"if-none-match": "*"}).status == 201
    assert put(site, "/to-nothing", b"1", {"if-none-match": "*"}).status == 201


def test_if_unmodified_since(site: Uploads, www: Path) -> None:
    os.utime(www / "old.txt", (1_600_000_000, 1_600_000_000))
    with nothing_changes(www):
        early = {"if-unmodified-since": imf_fixdate(1_500_000_000)}
        assert put(site, "/old.txt", UNWANTED, early).status == 412
        assert delete(site, "/old.txt", early).status == 412
    since = get(site, "/old.txt").fields.get("last-modified") or ""
    assert put(site, "/old.txt", b"x", {"if-unmodified-since": since}).status == 204


def test_failures_go_before_preconditions(site: Uploads, www: Path) -> None:
    """§13.2.1: "A server MUST ignore all received preconditions if its response to the same request without those conditions [...]
    would have been a status code other than a 2xx (Successful) or 412"."""
    with nothing_changes(www):
        for target, status in (("/sub", 409), ("/missing/a", 409), ("/.hidden", 404)):
            assert put(site, target, UNWANTED, {"if-match": '"x"'}).status == status
        assert delete(site, "/new.txt", {"if-match": "*"}).status == 404


def test_preconditions_are_judged_again_when_the_content_has_come(site: Uploads, www: Path) -> None:
    def replace() -> None:
        (www / "theirs").write_text("theirs")
        (www / "theirs").rename(www / "old.txt")

    body = Pieces(b"mine", replace)
    assert put(site, "/old.txt", body, {"if-match": current(site)}).status == 412
    body = Pieces(b"mine", lambda: (www / "new.txt").write_text("theirs"))
    assert put(site, "/new.txt", body, {"if-none-match": "*"}).status == 412
    assert (www / "old.txt").read_text() == (www / "new.txt").read_text() == "theirs"
    assert not [name for name in os.listdir(www) if name.startswith(paths.UNFINISHED)]


def test_of_many_who_replace_the_same_version_exactly_one_does(www: Path) -> None:
    sites = [uploads(www) for _ in range(4)]  # as many workers

    async def race() -> list[int]:
        etag = current_tag
        tasks = []
        for number in range(40):
            request = request_of("PUT", "/old.txt", {"if-match": etag})
            request.body = Pieces(b"%d" % number)
            tasks.append(sites[number % len(sites)].handle(request))
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        return [each.status for each in answers if isinstance(each, Response | HttpError)]

    for _ in range(5):
        current_tag = current(sites[0])
        statuses = asyncio.run(race())
        assert sorted(statuses) == [204] + [412] * 39


def test_of_many_who_create_the_same_file_exactly_one_does(www: Path) -> None:
    sites = [uploads(www) for _ in range(4)]

    async def race() -> list[int]:
        tasks = []
        for number in range(40):
            request = request_of("PUT", "/new.txt", {"if-none-match": "*"})
            request.body = Pieces(b"%d" % number)
            tasks.append(sites[number % len(sites)].handle(request))
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        return [each.status for each in answers if isinstance(each, Response | HttpError)]

    assert sorted(asyncio.run(race())) == [201] + [412] * 39


def test_of_many_who_put_without_conditions_the_last_one_wins_whole(www: Path) -> None:
    site = uploads(www)

    async def race() -> None:
        tasks = []
        for number in range(30):
            request = request_of("PUT", "/new.txt")
            request.body = Pieces(*[bytes([number]) * 1000] * 50)
            tasks.append(site.handle(request))
        answers = await asyncio.gather(*tasks)
        assert sorted(each.status for each in answers) == [201] + [204] * 29

    asyncio.run(race())
    octets = (www / "new.txt").read_bytes()
    assert octets == octets[:1] * 50_000


# --- What changes while the content comes ------------------------------------------------------------------------------


def test_a_folder_that_took_the_place_of_another_gets_the_file(site: Uploads, www: Path) -> None:
    def swap() -> None:
        (www / "sub").rename(www / "sub.old")
        (www / "sub").mkdir()

    assert put(site, "/sub/a.txt", Pieces(b"x", swap)).status == 201
    assert (www / "sub" / "a.txt").read_bytes() == b"x"
    assert not os.listdir(www / "sub.old")


def test_a_folder_that_is_gone_is_a_conflict(site: Uploads, www: Path) -> None:
    assert put(site, "/sub/a.txt", Pieces(b"x", lambda: (www / "sub").rename(www / "other"))).status == 409
    assert not [name for name in os.listdir(www / "other") if not name.startswith(paths.UNFINISHED)]


def test_a_folder_that_goes_away_in_the_last_moment_is_a_conflict(
    site: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: NewFile, *arguments: object, **more: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(NewFile, "put", gone)
    assert put(site, "/sub/a.txt").status == 409


def test_a_folder_that_leads_outside_now_gets_nothing(site: Uploads, www: Path) -> None:
    def swap() -> None:
        (www / "sub").rename(www / "sub.old")
        (www / "sub").symlink_to("../outside")

    assert put(site, "/sub/a.txt", Pieces(b"x", swap)).status == 409
    assert os.listdir(www / "../outside") == ["secret.txt"]


def test_a_file_that_somebody_else_makes_in_the_last_moment_is_replaced(
    www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, made = os.link, list[str]()

    def slow_link(source: bytes, target: bytes, *, dst_dir_fd: int) -> None:
        if not made:
            (www / "new.txt").write_text("theirs")
            made.append("new.txt")
        link(source, target, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "link", slow_link)
    assert put(uploads(www), "/new.txt", b"mine").status == 204
    assert (www / "new.txt").read_text() == "mine"


def test_somebody_who_makes_and_removes_it_all_the_time_is_a_conflict(
    site: Uploads, www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def always_there(self: NewFile, *arguments: object, **more: object) -> None:
        raise FileExistsError

    monkeypatch.setattr(NewFile, "put", always_there)
    with nothing_changes(www):
        assert put(site, "/new.txt").status == 409


# --- §9.3.5 DELETE ------------------------------------------------------------------------------------------------------


def test_a_file_that_is_deleted_is_gone(site: Uploads, www: Path) -> None:
    before = get(site, "/old.txt")
    assert delete(site, "/old.txt").status == 204
    assert not holds(before)
    assert not (www / "old.txt").exists()
    assert get(site, "/old.txt").status == 404
    assert delete(site, "/old.txt").status == 404


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/new.txt", 404),
        ("/missing/a", 404),
        ("/old.txt/a", 404),
        ("/sub", 409),
        ("/sub/", 409),
        ("/to-sub", 409),
        ("/to-sub/", 409),
        ("/old.txt/", 404),
        ("/missing/", 404),
        ("/to-outside/", 404),
        ("/to-outside/secret.txt", 404),
        ("/to-secret", 404),
        ("/to-nothing", 404),
        ("/pipe", 409),
        ("/.hidden", 404),
        ("/" + "a" * 300, 414),
    ],
)
def test_what_is_no_file_is_not_deleted(target: str, status: int, site: Uploads, www: Path) -> None:
    with nothing_changes(www):
        assert delete(site, target).status == status


def test_a_link_is_deleted_and_never_followed(site: Uploads, www: Path) -> None:
    assert delete(site, "/to-old").status == 204
    assert not (www / "to-old").is_symlink()
    assert (www / "old.txt").read_text() == "old"


def test_if_match_lets_only_the_version_be_deleted_that_was_meant(site: Uploads, www: Path) -> None:
    with nothing_changes(www):
        assert delete(site, "/old.txt", {"if-match": '"other"'}).status == 412
        assert delete(site, "/old.txt", {"if-none-match": "*"}).status == 412
    assert delete(site, "/old.txt", {"if-match": current(site)}).status == 204


def test_a_deletion_is_on_the_disk_before_the_answer(site: Uploads, www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append((www / "old.txt").exists()))
    delete(site, "/old.txt")
    assert synced == [False]


def test_a_file_that_goes_away_in_the_last_moment_was_not_there(site: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*arguments: object, **more: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(os, "unlink", gone)
    assert delete(site, "/old.txt").status == 404


def test_a_link_whose_end_may_not_be_seen_stays(site: Uploads, www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status_of = os.stat

    def refuse(path: str | bytes | int, **more: object) -> os.stat_result:
        if path == b"to-old" and more.get("follow_symlinks", True):
            raise PermissionError(EACCES, "no")
        return status_of(path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", refuse)
    assert delete(site, "/to-old").status == put(site, "/to-old", UNWANTED).status == 403
    monkeypatch.undo()
    assert (www / "to-old").is_symlink()


# --- How many at once ---------------------------------------------------------------------------------------------------


def test_only_so_many_files_are_taken_at_once(www: Path) -> None:
    site = uploads(www, most=1)
    seen: list[HttpError] = []

    class Asking(Pieces):
        """Another upload comes while this one is under way, and a request that is none."""

        async def read(self) -> bytes:
            octets = await super().read()
            if octets:
                request = request_of("PUT", "/other.txt")
                request.body = UNWANTED
                with pytest.raises(HttpError) as caught:
                    await site.handle(request)
                seen.append(caught.value)
                assert (await site.handle(request_of("DELETE", "/to-old"))).status == 204
            return octets

    assert put(site, "/new.txt", Asking(b"x")).status == 201
    assert [(error.status, error.setting) for error in seen] == [(503, "limits.uploads")]
    assert ("retry-after", "5") in seen[0].fields
    assert not (www / "other.txt").exists()
    # Each gave its turn back, however it ended.
    assert put(site, "/.hidden", UNWANTED).status == 404
    assert put(site, "/missing/a", UNWANTED).status == 409
    assert put(site, "/other.txt").status == 201


# --- Unfinished files, and who is asked ---------------------------------------------------------------------------------


def test_unfinished_files_are_neither_served_nor_listed(www: Path) -> None:
    site = uploads(www, may_hide=True, listing=True, nameless=False)
    seen: list[Response] = []

    class Looking(Pieces):
        async def read(self) -> bytes:
            octets = await super().read()
            if not octets:
                (name,) = [name for name in os.listdir(www) if name.startswith(paths.UNFINISHED)]
                for target in ("/", f"/{name}"):
                    try:
                        seen.append(await site.handle(request_of("GET", target)))
                    except HttpError as error:
                        seen.append(Response(error.status))
            return octets

    put(site, "/new.txt", Looking(b"half"))
    listing, itself = seen
    assert b".hidden" in content(listing)
    assert paths.UNFINISHED.encode() not in content(listing)
    assert itself.status == 404


def test_requests_that_change_something_may_go_another_way() -> None:
    class Named:
        def __init__(self, name: bytes) -> None:
            self.name = name

        async def handle(self, request: object) -> Response:
            return Response(200, body=self.name)

    handler = ByMethod(changes=Named(b"changes"), others=Named(b"others"))
    asked = {method: answer(handler, request_of(method, "/")).body for method in ("GET", "PUT", "DELETE", "OPTIONS")}
    assert asked == {"GET": b"others", "PUT": b"changes", "DELETE": b"changes", "OPTIONS": b"others"}


def test_the_clock_may_stand(www: Path) -> None:
    """Two files that are put in the same moment have tags of their own: no two have the same inode at once, nor the same stamps later."""
    clock = FakeClock(later().wall)
    files = Files(FilesSettings(root=www), clock=clock)
    new_files = NewFiles(www.parent / "records", paths.UNFINISHED)
    turns = Turns(1, "uploads", setting="limits.uploads")
    site = Uploads(files, www, may_hide=False, new_files=new_files, clock=clock, turns=turns)
    tags = [put(site, "/new.txt", b"%d" % number).fields.get("etag") for number in range(5)]
    assert len(set(tags)) == 5
