from __future__ import annotations

import errno
import json
import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.core.contracts import Peer
from netlodge.core.records import Entry, HttpRecord, Record
from netlodge.observe import access_log
from netlodge.observe.access_log import AccessLog, AccessLogError, Format, local_time, utc_time
from netlodge.observe.metrics import Registry
from tests.observe.samples import PEER, WALL, http_record, line_record

COMBINED = re.compile(
    rb'(?P<host>\S+) - (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<request>[^"\\]*(?:\\x[0-9A-F]{2}[^"\\]*)*)" '
    rb'(?P<status>\d{3}) (?P<sent>\d+) "(?P<referer>[^"\\]*(?:\\x[0-9A-F]{2}[^"\\]*)*)" '
    rb'"(?P<agent>[^"\\]*(?:\\x[0-9A-F]{2}[^"\\]*)*)"'
)


@pytest.fixture(autouse=True)
def _local_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def written(path: Path, records: Sequence[Record], format: Format = "combined") -> bytes:  # noqa: A002
    path.unlink(missing_ok=True)
    log = AccessLog(str(path), format)
    log.write([(WALL, PEER, record) for record in records])
    log.close()
    return path.read_bytes()


class TestCombined:
    def test_a_line_is_as_apache_and_nginx_write_it(self, tmp_path: Path) -> None:
        assert written(tmp_path / "log", [http_record()]) == (
            b'127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /page?x=1 HTTP/1.1" 200 5 '
            b'"http://www.example.org/" "curl/8.5.0"\n'
        )

    @pytest.mark.parametrize(
        ("changes", "part"),
        [
            ({"user": "frank"}, b"127.0.0.1 - frank ["),
            ({"user": 'a b"]\n'}, b"127.0.0.1 - a\\x20b\\x22]\\x0A ["),
            ({"version": "1.0"}, b'/page?x=1 HTTP/1.0" 200'),
            ({"version": "2"}, b'/page?x=1 HTTP/2.0" 200'),
            ({"referer": "", "user_agent": ""}, b' 200 5 "-" "-"\n'),
            ({"status": 0, "sent": 0}, b'" 000 0 "'),
            ({"target": '/"><script>'}, b'"GET /\\x22><script> HTTP/1.1"'),
            ({"target": "/\\"}, b'"GET /\\x5C HTTP/1.1"'),
            ({"target": "/\r\n127.0.0.1 - - forged"}, b"/\\x0D\\x0A127.0.0.1 - - forged HTTP"),
            ({"user_agent": "\x1b[2J\x7f\x9b\xe9"}, b'"\\x1B[2J\\x7F\\x9B\\xE9"\n'),
            ({"user_agent": "\u20ac"}, b'"\\xE2\\x82\\xAC"\n'),
            ({"user_agent": "\ud800"}, b'"\\xED\\xA0\\x80"\n'),
        ],
    )
    def test_what_a_client_sends_stays_in_its_place(
        self, tmp_path: Path, changes: dict[str, object], part: bytes
    ) -> None:
        line = written(tmp_path / "log", [http_record(**changes)])
        assert part in line
        assert COMBINED.fullmatch(line[:-1])

    def test_a_message_that_was_no_request_shows_its_first_line(self, tmp_path: Path) -> None:
        hello = http_record(method="", target="", version="", status=400, request_head=b'\x16\x03\x01"x\r\nmore')
        assert b'] "\\x16\\x03\\x01\\x22x" 400 ' in written(tmp_path / "log", [hello])
        silent = http_record(method="", target="", version="", status=408, request_head=b"")
        assert b'] "-" 408 ' in written(tmp_path / "log", [silent])

    def test_the_first_line_of_no_request_is_bounded(self, tmp_path: Path) -> None:
        record = http_record(method="", request_head=b"A" * 100_000)
        assert len(written(tmp_path / "log", [record])) < 2 * access_log.FIRST_LINE_OCTETS

    def test_line_services_have_no_place(self, tmp_path: Path) -> None:
        log = written(tmp_path / "log", [line_record(), http_record(), line_record()])
        assert log.count(b"\n") == 1

    def test_a_shared_record_is_rendered_once_and_stamped_each_time(self, tmp_path: Path) -> None:
        path, record = tmp_path / "log", http_record(is_recalled=True)
        log = AccessLog(str(path))
        log.write([(WALL, PEER, record), (WALL, Peer("::1", 1), record), (WALL + 1, PEER, record)])
        tail = record.log_tails
        record.user_agent = "changed afterwards"
        log.write([(WALL + 60, PEER, record)])
        log.close()
        lines = path.read_bytes().splitlines()
        assert [line.split(b" ")[0] for line in lines] == [b"127.0.0.1", b"::1", b"127.0.0.1", b"127.0.0.1"]
        assert [line[line.index(b":55:") :][:9] if b":55:" in line else b"" for line in lines] == [
            b":55:36 -0",
            b":55:36 -0",
            b":55:37 -0",
            b"",
        ]
        assert record.log_tails is tail
        assert all(line.endswith(b'"curl/8.5.0"') for line in lines)

    @pytest.mark.parametrize(
        ("zone", "shown"),
        [
            ("UTC", "10/Oct/2000:20:55:36 +0000"),
            ("Asia/Kathmandu", "11/Oct/2000:02:40:36 +0545"),
            ("America/St_Johns", "10/Oct/2000:18:25:36 -0230"),
        ],
    )
    def test_the_time_is_local_with_its_offset(self, monkeypatch: pytest.MonkeyPatch, zone: str, shown: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert local_time(int(WALL)) == shown


class TestJson:
    def test_a_line_has_all_that_is_known(self, tmp_path: Path) -> None:
        assert json.loads(written(tmp_path / "log", [http_record(user="frank")], "json")) == {
            "time": "2000-10-10T20:55:36.250Z",
            "peer": "127.0.0.1",
            "door": "web",
            "scheme": "http",
            "version": "1.1",
            "method": "GET",
            "target": "/page?x=1",
            "host": "www.example.org",
            "status": 200,
            "received": 0,
            "sent": 5,
            "elapsed": 0.000312,
            "referer": "http://www.example.org/",
            "user_agent": "curl/8.5.0",
            "user": "frank",
            "outcome": "complete",
            "recalled": False,
        }

    def test_line_services_are_in_it(self, tmp_path: Path) -> None:
        said = json.loads(written(tmp_path / "log", [line_record(transport="udp", answer=b"")], "json"))
        assert said == {
            "time": "2000-10-10T20:55:36.250Z",
            "peer": "127.0.0.1",
            "door": "uppercase",
            "transport": "udp",
            "received": 6,
            "sent": 0,
            "outcome": "complete",
        }

    def test_a_message_that_was_no_request_shows_its_first_line(self, tmp_path: Path) -> None:
        record = http_record(method="", request_head=b"\xff\x00\x7f\r\nmore")
        line = written(tmp_path / "log", [record], "json")
        assert json.loads(line)["first_line"] == "\xff\x00\x7f"
        assert b"\x7f" not in line

    @pytest.mark.parametrize(
        ("wall", "shown"),
        [(0.0, "1970-01-01T00:00:00.000Z"), (1.9996, "1970-01-01T00:00:02.000Z"), (WALL, "2000-10-10T20:55:36.250Z")],
    )
    def test_the_time_is_utc_to_the_millisecond(self, wall: float, shown: str) -> None:
        assert utc_time(wall) == shown


TEXT = st.one_of(st.text(), st.text(st.characters(max_codepoint=255)))
RECORDS = st.builds(
    HttpRecord,
    door=TEXT,
    scheme=TEXT,
    version=TEXT,
    method=TEXT,
    target=TEXT,
    host=TEXT,
    status=st.integers(0, 999),
    sent=st.integers(0, 2**40),
    elapsed=st.floats(0, 1e6),
    referer=TEXT,
    user_agent=TEXT,
    user=TEXT,
    request_head=st.binary(),
    outcome=TEXT,
)


class TestWhateverIsSent:
    @given(records=st.lists(RECORDS, max_size=3))
    def test_a_record_is_one_line_that_reads_back(
        self, tmp_path_factory: pytest.TempPathFactory, records: list[HttpRecord]
    ) -> None:
        folder = tmp_path_factory.getbasetemp()
        combined = written(folder / "combined", records).split(b"\n")
        lines = written(folder / "json", records, "json").split(b"\n")
        assert combined.pop() == lines.pop() == b""
        assert len(combined) == len(lines) == len(records)
        for record, line, json_line in zip(records, combined, lines, strict=True):
            match = COMBINED.fullmatch(line)
            assert match
            assert unescaped(match["agent"]) in (octets_of(record.user_agent), b"-")
            assert unescaped(match["referer"]) in (octets_of(record.referer), b"-")
            assert int(match["sent"]) == record.sent
            assert all(0x20 <= octet < 0x7F for octet in line + json_line)
            said = json.loads(json_line)
            assert said["target"].encode("latin-1") == octets_of(record.target)
            assert said["status"] == record.status


def unescaped(logged: bytes) -> bytes:
    return re.sub(rb"\\x([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), logged)


def octets_of(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def batch(count: int, record: HttpRecord | None = None) -> list[Entry]:
    record = record or http_record()
    return [(WALL, PEER, record)] * count


class TestTheFile:
    def test_a_batch_is_one_write(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        log, writes = AccessLog(str(tmp_path / "log")), []
        real = os.write

        def write(descriptor: int, data: bytes) -> int:
            writes.append(len(data))
            return real(descriptor, data)

        monkeypatch.setattr(os, "write", write)
        log.write(batch(access_log.BATCH_ENTRIES))
        log.write([])
        monkeypatch.undo()
        log.close()
        assert len(writes) == 1
        assert (tmp_path / "log").read_bytes().count(b"\n") == access_log.BATCH_ENTRIES

    def test_workers_that_share_a_file_never_mix_their_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        pids = []
        for worker in range(3):
            pid = os.fork()
            if pid == 0:
                try:
                    log = AccessLog(str(path))
                    for _ in range(30):
                        log.write(batch(500, http_record(user_agent=str(worker) * 200)))
                    os._exit(0)
                finally:
                    os._exit(1)
            pids.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
        lines = path.read_bytes().splitlines()
        assert len(lines) == 3 * 30 * 500
        ends = {bytes(line[line.index(b'"http') :]) for line in lines}
        assert ends == {b'"http://www.example.org/" "%s"' % (b"%d" % worker * 200) for worker in range(3)}

    def test_reopen_writes_to_the_new_file_after_a_rotation(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        log = AccessLog(str(path))
        log.write(batch(1))
        path.rename(tmp_path / "log.1")
        log.write(batch(1))
        log.reopen()
        log.write(batch(1))
        log.close()
        assert (tmp_path / "log.1").read_bytes().count(b"\n") == 2
        assert path.read_bytes().count(b"\n") == 1

    def test_when_reopen_fails_the_old_file_is_written_on(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "log"
        log = AccessLog(str(path))
        path.rename(tmp_path / "log.1")
        path.mkdir()
        log.reopen()
        log.write(batch(1))
        log.close()
        assert (tmp_path / "log.1").read_bytes().count(b"\n") == 1
        assert "cannot be opened" in caplog.text

    def test_a_file_that_cannot_be_opened_is_one_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(AccessLogError, match=r"^The access log .*/none/log cannot be opened: No such file"):
            AccessLog(str(tmp_path / "none" / "log"))

    def test_a_pipe_without_a_reader_is_an_error_and_no_hang(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(AccessLogError):
            AccessLog(str(tmp_path / "pipe"))


class TestAFullDisk:
    def test_lines_are_dropped_counted_and_complained_about_once_a_minute(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        now = 1000.0
        registry = Registry()
        dropped = registry.counter("lodge_dropped_total", "Dropped.")
        log = AccessLog("/dev/full", dropped=dropped, monotonic=lambda: now)
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                log.write(batch(10))
            assert [record.message for record in caplog.records] == [
                "The access log /dev/full loses lines: No space left on device (10 since the last such message)."
            ]
            now += access_log.COMPLAINT_SECONDS
            log.write(batch(10))
        assert "(30 since" in caplog.records[-1].message
        assert len(caplog.records) == 2
        assert registry.value("lodge_dropped_total") == 40
        log.close()

    def test_a_line_that_was_cut_off_does_not_swallow_the_next(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "log"
        registry = Registry()
        log = AccessLog(str(path), dropped=registry.counter("lodge_dropped_total", "Dropped."))
        real, room = os.write, 150

        def write(descriptor: int, data: bytes) -> int:
            nonlocal room
            if room == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = real(descriptor, data[:room])
            room -= taken
            return taken

        monkeypatch.setattr(os, "write", write)
        log.write(batch(3))
        room = 10_000
        log.write(batch(2))
        log.close()
        lines = path.read_bytes().split(b"\n")
        assert [bool(COMBINED.fullmatch(line)) for line in lines] == [True, False, True, True, False]
        assert lines[-1] == b""
        assert registry.value("lodge_dropped_total") == 2


def drained(reader: int, log: AccessLog) -> bytes:
    """What comes out of the pipe when the reader wakes up and the log's ticks go on."""
    received = b""
    while True:
        try:
            received += os.read(reader, 1 << 20)
        except BlockingIOError:
            return received
        log.write([])


class TestAPipe:
    @pytest.fixture
    def pipe(self, tmp_path: Path) -> Iterator[tuple[AccessLog, int, Registry]]:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        registry = Registry()
        log = AccessLog(str(path), dropped=registry.counter("lodge_dropped_total", "Dropped."))
        yield log, reader, registry
        log.close()
        os.close(reader)

    def test_a_reader_that_stalls_delays_nobody_and_gets_the_lines_later(
        self, pipe: tuple[AccessLog, int, Registry]
    ) -> None:
        log, reader, registry = pipe
        log.write(batch(2000))  # more than a pipe holds
        received = drained(reader, log)
        assert received.count(b"\n") == 2000
        assert all(map(COMBINED.fullmatch, received.splitlines()))
        assert registry.value("lodge_dropped_total") == 0

    def test_what_waits_is_bounded(self, pipe: tuple[AccessLog, int, Registry]) -> None:
        log, reader, registry = pipe
        log.write(batch(50_000))
        received = drained(reader, log)
        assert all(map(COMBINED.fullmatch, received.splitlines()))
        kept = received.count(b"\n")
        assert 0 < kept < 50_000
        assert len(received) <= access_log.PENDING_OCTETS + 2 * 65536
        assert kept + registry.value("lodge_dropped_total") == 50_000

    def test_a_reader_that_left_costs_the_lines_and_nothing_else(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        registry = Registry()
        log = AccessLog(str(path), dropped=registry.counter("lodge_dropped_total", "Dropped."))
        os.close(reader)
        log.write(batch(5))
        log.close()
        assert registry.value("lodge_dropped_total") == 5


def test_standard_output_is_written_and_left_open(capfd: pytest.CaptureFixture[str]) -> None:
    log = AccessLog("-")
    log.write(batch(1))
    log.reopen()
    log.close()
    os.write(1, b"still open\n")
    out = capfd.readouterr().out
    assert out.count("curl/8.5.0") == 1
    assert out.endswith("still open\n")
