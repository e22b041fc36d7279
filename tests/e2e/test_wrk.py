"""wrk against a lodge: nothing fails under load, and every request that was answered is in the log and in the numbers, once."""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from tests.e2e.lodge import PATIENCE, Lodge, until

CONNECTIONS = 32
PAGE = b"x" * 1024


def wrk(url: str, *options: str) -> tuple[int, str]:
    """How many requests were answered in a second, and all that wrk said."""
    command = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", "1s", *options, url]
    said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    match = re.search(r"(\d+) requests in", said)
    assert match, said
    return int(match[1]), said


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("options", [(), ("-H", "Authorization: Basic eDp4")], ids=["remembered", "not-remembered"])
def test_every_request_is_answered_logged_and_counted(workers: int, options: tuple[str, ...]) -> None:
    with Lodge({"index.html": PAGE}, workers=workers) as lodge:
        answered, said = wrk(lodge.url(), *options)
        assert answered > 100
        assert "Socket errors" not in said
        assert "Non-2xx" not in said
        until(lambda: lodge.metric("netlodge_connections_open", door="web") == 0, "the end of all connections")

        seen, since = -1, 0.0

        def is_complete() -> bool:
            """As many lines as requests, and no more for four ticks of the worker: a long journal is drained piece by piece."""
            nonlocal seen, since
            count = len(lodge.log_lines)
            if count != seen:
                seen, since = count, time.monotonic()
            is_equal = count == lodge.metric("netlodge_http_requests_total", door="web") >= answered
            return is_equal and time.monotonic() - since > 1

        until(is_complete, "as many lines as requests")
        lines = lodge.log_lines
        # What was on its way when wrk ended was answered, too.
        assert answered <= len(lines) <= answered + CONNECTIONS
        assert all('"GET / HTTP/1.1" 200 1024 "-" "-"' in line for line in lines)
        assert lodge.metric("netlodge_http_requests_total", door="web", method="GET", code="2xx") == len(lines)
        assert lodge.metric("netlodge_http_response_content_bytes_total", door="web") == len(lines) * len(PAGE)
        assert lodge.metric("netlodge_http_request_duration_seconds_count", door="web") == len(lines)
        recalled = lodge.metric("netlodge_http_recalled_total", door="web")
        if options:
            assert recalled == 0
        else:
            assert 0 < recalled < len(lines)
        assert lodge.metric("netlodge_connections_accepted_total", door="web") >= CONNECTIONS
        assert lodge.metric("netlodge_defects_total") == 0
        assert lodge.metric("netlodge_access_log_dropped_lines_total") == 0
