"""Forms as a handler reads them: media types, limits, files, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netlodge.http.handlers import forms, spool
from netlodge.http.handlers.forms import IN_A_ROW, SMALL, Form, read_form
from netlodge.http.handlers.native import FormLimits
from netlodge.http.handlers.spool import Spool
from netlodge.http.handlers.turns import Turns
from netlodge.http.message import BodyError, HttpError, Request
from netlodge.http.rules.forms import SLICE, URLENCODED
from tests.http.handlers.asking import request_of
from tests.http.handlers.form_requests import LIMITS, MULTIPART, PiecesBody, multipart, post, urlencoded
from tests.http.wire.multipart_writer import Field, written


def read(request: Request, limits: FormLimits = LIMITS) -> Form:
    return asyncio.run(read_form(request, limits))


def refusal(request: Request, limits: FormLimits = LIMITS) -> HttpError:
    with pytest.raises(HttpError) as caught:
        read(request, limits)
    return caught.value


def content_of(form: Form, name: str) -> bytes:
    upload = form.file(name)
    assert upload is not None
    return asyncio.run(upload.read())


def temporary_files() -> int:
    """How many temporary files this process has open."""
    links = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sum(link.startswith(tempfile.gettempdir()) for link in links)


@pytest.fixture
def open_files() -> Callable[[], int]:
    """How many temporary files were opened since, and are open."""
    before = temporary_files()
    return lambda: temporary_files() - before


# --- where the form is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_form_of_a_get_is_its_query(method: str) -> None:
    form = read(request_of(method, "/?q=lamp+oil&q=2&empty"))
    assert form.values == [("q", "lamp oil"), ("q", "2"), ("empty", "")]
    assert form.get("q") == "lamp oil"
    assert form.get_all("q") == ["lamp oil", "2"]
    assert form.get("none", "default") == "default"
    assert "empty" in form
    assert "none" not in form
    assert form.file("q") is None


def test_a_form_is_read_from_urlencoded_content_and_not_from_the_query() -> None:
    request = post("/?a=query", f"{URLENCODED}; charset=UTF-8", [b"a=b", b"ody&c=%E2%82", b"%AC"])
    assert read(request).values == [("a", "body"), ("c", "€")]


def test_a_long_form_is_read_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "READ_HERE", 3)
    assert read(post("/", URLENCODED, [b"a=1&b=2"])).values == [("a", "1"), ("b", "2")]


def test_content_that_is_not_there_is_an_empty_form() -> None:
    assert read(post("/", "", [])).values == []


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_a_form_with_files_is_read_as_it_comes(step: int) -> None:
    fields = [
        Field("name", "größe".encode()),
        Field("picture", b"\x89PNG" * 50, "../my cat.png", "image/png"),
        Field("none", b"", "", "application/octet-stream"),
        Field("empty", b"", "empty.txt", "text/plain"),
        Field("unnamed", b"x", "", "text/plain"),
        Field("picture", b"second", "b.gif", "image/gif"),
    ]
    with read(multipart("/", fields, step=step)) as form:
        assert form.values == [("name", "größe")]
        assert [(name, upload.file_name, upload.content_type, upload.size) for name, upload in form.files] == [
            ("picture", "my cat.png", "image/png", 200),
            ("empty", "empty.txt", "text/plain", 0),
            ("unnamed", "", "text/plain", 1),
            ("picture", "b.gif", "image/gif", 6),
        ]
        assert form.file("none") is None  # nothing was chosen
        assert content_of(form, "picture") == b"\x89PNG" * 50
        assert content_of(form, "empty") == b""
        assert content_of(form, "unnamed") == b"x"


def test_a_part_of_a_file_is_read() -> None:
    with read(
        multipart("/", [Field("a", b"before", "a"), Field("b", b"0123456789", "b"), Field("c", b"z", "c")])
    ) as form:
        upload = form.file("b")
        assert upload is not None
        assert asyncio.run(upload.read(3, 4)) == b"3456"
        assert asyncio.run(upload.read(8, 100)) == b"89"
        assert asyncio.run(upload.read(11)) == b""


# --- what is no form ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/json", "multipart/mixed; boundary=b", "nonsense"]
)
def test_another_media_type_is_refused(content_type: str) -> None:
    error = refusal(post("/", content_type, [b"a=b"]))
    assert error.status == 415
    assert dict(error.fields) == {"accept": "application/x-www-form-urlencoded, multipart/form-data"}


def test_a_content_coding_is_refused() -> None:
    assert refusal(post("/", URLENCODED, [b"a=b"], {"content-encoding": "gzip"})).status == 415
    assert read(post("/", URLENCODED, [b"a=b"], {"content-encoding": "identity"})).get("a") == "b"


@pytest.mark.parametrize(
    "request_",
    [
        post("/", f"{URLENCODED}; charset=windows-1252", [b"a=b"]),
        multipart("/", [Field("a", b"b", content_type="text/plain; charset=iso-8859-1")]),
        # RFC 7578 §4.6
        multipart("/", [Field("_charset_", b"windows-1252"), Field("a", b"b")]),
    ],
)
def test_text_that_is_not_in_utf_8_is_refused_and_not_garbled(request_: Request) -> None:
    assert refusal(request_).status == 415


def test_text_that_says_that_it_is_in_utf_8_is_read() -> None:
    fields = [Field("_charset_", b"UTF-8"), Field("a", "ü".encode(), content_type='text/plain; charset="utf-8"')]
    assert read(multipart("/", fields)).get("a") == "ü"


@pytest.mark.parametrize(
    "request_",
    [
        post("/", "multipart/form-data", [written([])]),
        post("/", MULTIPART, [written([Field("a", b"b")])[:-4]]),
        post("/", MULTIPART, [b"a=b"]),
    ],
)
def test_a_broken_form_is_refused(request_: Request) -> None:
    assert refusal(request_).status == 400


# --- limits ------------------------------------------------------------------------------------------------------------

TOO_LARGE = {
    "limits.form_fields": [
        request_of("GET", "/?" + "a&" * 101),
        urlencoded("/", [("a", "")] * 101),
        multipart("/", [Field("a", b"")] * 101),
        multipart("/", [Field("a", b"", "a")] * 101),
    ],
    "limits.form_field_size": [
        urlencoded("/", [("a", "x" * 1001)]),
        urlencoded("/", [("a", "ö" * 501)]),
        multipart("/", [Field("a", b"x" * 1001)]),
    ],
    "limits.form_head_size": [multipart("/", [Field("a" * 501, b"")])],
    "limits.form_file_size": [multipart("/", [Field("a", b"x" * 3001, "a")])],
    "limits.form_size": [
        urlencoded("/", [("a", "x" * 900)] * 12),
        post("/", URLENCODED, [b"a" * 9000, b"a" * 9000]),
        multipart("/", [Field("a", b"x" * 900)] * 12),
        multipart("/", [Field("a" * 200, b"", "b" * 200)] * 30),
    ],
}


@pytest.mark.parametrize(
    ("setting", "request_"), [(setting, request) for setting, requests in TOO_LARGE.items() for request in requests]
)
def test_what_passes_a_limit_is_refused_with_its_name(setting: str, request_: Request) -> None:
    error = refusal(request_, replace(LIMITS, file_size=3000, head_size=500))
    assert (error.status, error.setting) == (413, setting)


def test_what_is_just_within_the_limits_is_read() -> None:
    limits = FormLimits(fields=3, field_size=300, file_size=500, size=700)
    fields = [Field("a", b"x" * 300), Field("b", "ö".encode() * 100), Field("c", b"x" * 500, "c")]
    with read(multipart("/", fields), limits) as form:
        assert len(form.values) == 2
        assert content_of(form, "c") == b"x" * 500
    assert read(urlencoded("/", [("a", "x" * 300), ("b", "y" * 300)]), limits).get("b") == "y" * 300


def test_content_that_is_announced_as_too_large_is_not_read() -> None:
    request = post("/", URLENCODED, [b"a=" + b"x" * 20_000])
    assert refusal(request).setting == "limits.form_size"
    assert asyncio.run(request.body.read()) == b"a=" + b"x" * 20_000


def test_content_of_unknown_length_is_read_no_further_than_the_limit() -> None:
    request = post("/", URLENCODED, [])
    request.body = body = PiecesBody([b"a=" + b"x" * 900, b"&" * 9000, b"&" * 9000, b"never read"])
    assert refusal(request).setting == "limits.form_size"
    assert body.pieces == [b"never read"]
    request.body = PiecesBody([b"a=1"])
    assert read(request).get("a") == "1"


class OtherReaders:
    """Forms of other clients that are being read, until `end`. Each is a large one, and has not come whole."""

    def __init__(self, count: int, limits: FormLimits) -> None:
        self._goes_on = asyncio.Event()
        self._tasks = [asyncio.create_task(read_form(self._request(), limits)) for _ in range(count)]

    def _request(self) -> Request:
        request = post("/", URLENCODED, [])
        request.body = self
        return request

    length: int | None = None
    trailers = None

    async def read(self) -> bytes:
        await self._goes_on.wait()
        return b""

    async def end(self) -> None:
        self._goes_on.set()
        await asyncio.gather(*self._tasks)


LARGE_FORMS = {
    "of unknown length": lambda: post("/", URLENCODED, [b"a=1"], length=None),
    "urlencoded": lambda: post("/", URLENCODED, [b"a=1"], length=SMALL + 1),
    "with files": lambda: post("/", MULTIPART, [written([Field("a", b"1")])], length=SMALL + 1),
}


@pytest.mark.parametrize("kind", LARGE_FORMS)
def test_only_so_many_large_forms_are_read_at_once(kind: str) -> None:
    async def script() -> None:
        limits = replace(LIMITS, size=1 << 20, turns=Turns(2, "large forms", setting="limits.forms"))
        others = OtherReaders(2, limits)
        await asyncio.sleep(0)
        with pytest.raises(HttpError) as caught:
            await read_form(LARGE_FORMS[kind](), limits)
        assert (caught.value.status, caught.value.setting) == (503, "limits.forms")
        assert ("retry-after", "5") in caught.value.fields
        # A small one is read all the same.
        assert (await read_form(urlencoded("/", [("a", "1")]), limits)).get("a") == "1"
        await others.end()
        assert (await read_form(LARGE_FORMS[kind](), limits)).get("a") == "1"

    asyncio.run(script())


def test_a_long_text_of_a_form_with_files_is_read_whole() -> None:
    text = "é" * SLICE
    limits = replace(LIMITS, field_size=1 << 20, size=1 << 20)
    assert read(multipart("/", [Field("a", text.encode())], step=10_000), limits).get("a") == text


def test_others_have_their_turn_while_a_form_of_many_fields_is_read() -> None:
    async def script() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(count())
        await read_form(multipart("/", [Field("a", b"1")] * 100, step=1 << 20), LIMITS)
        other.cancel()
        return turns

    assert asyncio.run(script()) >= 100 // IN_A_ROW


def test_nothing_more_is_read_of_a_file_that_is_too_large() -> None:
    request = multipart("/", [Field("a", b"x" * 100_000, "a")])
    assert refusal(request, replace(LIMITS, file_size=3000)).setting == "limits.form_file_size"
    assert len(asyncio.run(request.body.read())) == 1000


# --- files beyond memory -----------------------------------------------------------------------------------------------


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY", 1000)
    monkeypatch.setattr(spool, "BATCH", 3000)


LARGE = [
    Field("a", bytes(range(256)) * 50, "a"),
    Field("text", b"between"),
    Field("b", bytes(reversed(range(256))) * 30, "b"),
]


@pytest.mark.usefixtures("little_memory")
def test_a_large_file_is_put_into_a_temporary_one_without_a_name(open_files: Callable[[], int]) -> None:
    before = set(Path(tempfile.gettempdir()).iterdir())
    with read(multipart("/", LARGE)) as form:
        assert open_files() == 1  # one for all
        assert not set(Path(tempfile.gettempdir()).iterdir()) - before
        assert content_of(form, "a") == LARGE[0].content
        assert content_of(form, "b") == LARGE[2].content
        assert form.get("text") == "between"
    assert open_files() == 0


def test_a_small_file_stays_in_memory(open_files: Callable[[], int]) -> None:
    with read(multipart("/", LARGE)) as form:
        assert open_files() == 0
        assert content_of(form, "b") == LARGE[2].content


@pytest.mark.usefixtures("little_memory")
def test_nothing_is_left_when_the_client_vanishes(open_files: Callable[[], int]) -> None:
    with pytest.raises(BodyError):
        read(multipart("/", LARGE, cut=True))
    assert open_files() == 0


@pytest.mark.usefixtures("little_memory")
def test_nothing_is_left_when_a_limit_refuses(open_files: Callable[[], int]) -> None:
    assert refusal(multipart("/", LARGE), replace(LIMITS, file_size=10_000)).setting == "limits.form_file_size"
    assert open_files() == 0


@pytest.mark.usefixtures("little_memory")
def test_nothing_is_left_when_the_reader_is_cancelled_while_the_disk_is_slow(
    open_files: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def vanish() -> None:
        loop = asyncio.get_running_loop()
        writing, goes_on = asyncio.Event(), asyncio.Event()
        write = spool._Disk.write

        def slow_write(disk: spool._Disk, octets: bytearray) -> None:
            loop.call_soon_threadsafe(writing.set)
            asyncio.run_coroutine_threadsafe(goes_on.wait(), loop).result()
            write(disk, octets)

        monkeypatch.setattr(spool._Disk, "write", slow_write)
        reading = asyncio.create_task(read_form(multipart("/", LARGE), LIMITS))
        await writing.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        goes_on.set()
        # The thread comes to its end, and the file with it.
        await loop.shutdown_default_executor()
        await asyncio.sleep(0)

    asyncio.run(vanish())
    assert open_files() == 0


@pytest.mark.parametrize(
    ("number", "status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EMFILE, 503), (errno.EIO, 500)]
)
@pytest.mark.usefixtures("little_memory")
def test_a_disk_that_takes_nothing_is_told(
    number: int, status: int, monkeypatch: pytest.MonkeyPatch, open_files: Callable[[], int]
) -> None:
    def refuse(**kwargs: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert refusal(multipart("/", LARGE)).status == status
    assert open_files() == 0


@pytest.mark.usefixtures("little_memory")
def test_a_form_may_be_closed_twice() -> None:
    form = read(multipart("/", LARGE))
    form.close()
    form.close()


def test_what_is_written_in_pieces_is_read_as_one(tmp_path: Path) -> None:
    async def use() -> None:
        spooled = Spool(str(tmp_path))
        piece = os.urandom(100_000)
        for _ in range(20):
            await spooled.write(piece)
        await spooled.seal()
        assert spooled.size == 2_000_000
        assert not spooled.is_in_memory
        assert await spooled.read(99_990, 20) == piece[-10:] + piece[:10]
        assert await spooled.read(1_900_000, 200_000) == piece
        assert not list(tmp_path.iterdir())
        spooled.close()

    asyncio.run(use())
