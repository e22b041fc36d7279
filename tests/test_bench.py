"""The benchmark's reading and judging: what it would say of given figures. Its drivers are run by `make bench-smoke`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.h2load import read_h2load
from bench.load import Round, read_s_time, read_wrk
from bench.processes import ProcessTree, StartError, free_port
from bench.report import render, render_budgets
from bench.results import BUDGETS, Row, Table, judge
from bench.scenarios import COLUMNS, MEASURED, SCENARIOS, summarize
from bench.servers import FLOOR, LODGE, LODGE_FIXED, NGINX, NGINX_CACHE, STARTERS

WRK = """Running 2s test @ http://127.0.0.1:8080/1k.txt
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   560.31us  123.45us   9.87ms   95.00%
  Latency Distribution
     50%  540.00us
     75%  600.00us
     90%  640.00us
     99%    1.50ms
  20000 requests in 2.00s, 25.00MB read
Requests/sec:  10000.00
Transfer/sec:     12.50MB
"""


def test_a_round_is_read() -> None:
    measured = read_wrk(WRK, 0.2)
    assert (measured.requests, measured.seconds, measured.p99, measured.fault) == (20000, 2.0, 0.0015, "")
    assert measured.cpu_us == pytest.approx(10.0)
    assert measured.rate == pytest.approx(10_000)


@pytest.mark.parametrize(
    "output",
    [
        WRK + "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
        WRK + "  Non-2xx or 3xx responses: 7\n",
        WRK.replace("20000 requests", "0 requests"),
        "unable to connect to 127.0.0.1:8080 Connection refused\n",
        "",
    ],
)
def test_errors_make_a_round_invalid(output: str) -> None:
    assert read_wrk(output, 0.2).fault


S_TIME = """Collecting connection statistics for 2 seconds
***

930 connections in 0.95s; 978.95 connections/user sec, bytes read 0
930 connections in 3 real seconds, 0 bytes read per connection
"""


def test_handshakes_are_read() -> None:
    measured = read_s_time(S_TIME, 2.0, 0.93)
    assert (measured.requests, measured.rate, measured.fault) == (930, 465.0, "")
    assert measured.cpu_us == pytest.approx(1000.0)
    for broken in ("ERROR\n" + S_TIME, S_TIME.replace("930", "0"), ""):
        assert read_s_time(broken, 2.0, 0.93).fault


H2LOAD = """finished in 1.01s, 5112.00 req/s, 5.73MB/s
Application protocol: h2
requests: 5112 total, 5128 started, 5112 done, 5112 succeeded, 0 failed, 0 errored, 0 timeout
"""


def test_a_round_of_h2load_is_read() -> None:
    measured = read_h2load(H2LOAD, 0.05112)
    assert (measured.requests, measured.seconds, measured.fault) == (5112, 1.01, "")
    assert measured.cpu_us == pytest.approx(10.0)


@pytest.mark.parametrize(
    "output",
    [
        H2LOAD.replace("5112 succeeded, 0 failed", "5000 succeeded, 112 failed"),
        H2LOAD.replace("protocol: h2", "protocol: http/1.1"),
        H2LOAD.replace("5112 done, 5112 succeeded", "0 done, 0 succeeded"),
        "it did not come to an end",
        "",
    ],
)
def test_what_is_no_whole_round_of_h2load_is_invalid(output: str) -> None:
    assert read_h2load(output, 0.05).fault


def test_a_row_is_the_median_and_one_fault_spoils_it() -> None:
    rounds = [Round(1000, 1.0, cpu / 1000, 0.001, "") for cpu in (30, 10, 20)]
    assert summarize("x", rounds) == Row(
        "x", {"cpu_us": 20.0, "cpu_us_least": 10.0, "requests_per_s": 1000.0, "p99_ms": 1.0}
    )
    assert summarize("x", [*rounds, Round(1000, 1.0, 0.0, 0.0, "timeout 1")]).fault == "timeout 1"


def small(**cpu_us: float) -> Table:
    names = {"lodge": LODGE, "fixed": LODGE_FIXED, "nginx": NGINX, "cache": NGINX_CACHE, "floor": FLOOR}
    rows = [Row(names[name], dict.fromkeys(MEASURED, value)) for name, value in cpu_us.items()]
    return Table("small", "1 KiB", MEASURED, rows)


def test_budgets_are_met_or_missed_or_not_measured() -> None:
    verdicts = judge([small(lodge=8, fixed=7, nginx=9, cache=20)])
    assert [(v.budget.against, v.value) for v in verdicts] == [
        (NGINX_CACHE, pytest.approx(0.35)),
        (FLOOR, None),
        (NGINX, pytest.approx(8 / 9)),
    ]
    met, unmeasured, missed = map(str, verdicts)
    assert met.strip().startswith("met")
    assert unmeasured.strip().startswith("not measured")
    assert missed.strip().startswith("MISSED")


def test_an_invalid_row_is_shown_as_such_and_decides_nothing() -> None:
    table = small(lodge=8, nginx=16)
    table.rows[1].fault = "timeout 1"
    text = "\n".join([*render(table), *render_budgets([table])])
    assert "INVALID: timeout 1" in text
    assert judge([table])[2].value is None


def test_ratios_are_of_processor_time() -> None:
    lines = list(render(small(lodge=8, nginx=16)))
    assert "/nginx" in lines[1]
    assert lines[2].split()[-1] == "0.50"


def test_scenarios_and_budgets_fit_together() -> None:
    names = {scenario.name for scenario in SCENARIOS}
    assert {budget.scenario for budget in BUDGETS} <= names
    assert set(COLUMNS) <= names
    for scenario in SCENARIOS:
        assert set(scenario.starters) <= set(STARTERS)


PARENT = """
import socket, subprocess, sys
burn = "import time\\nwhile time.process_time() < 0.3: pass"
subprocess.run([sys.executable, "-S", "-c", burn], check=True)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as door:
    while True:
        door.accept()[0].close()
"""


def test_what_a_child_cost_is_in_the_account_after_it_ended(tmp_path: Path) -> None:
    port = free_port()
    tree = ProcessTree([sys.executable, "-c", PARENT, str(port)], tmp_path / "log")
    try:
        tree.wait_for_port(port)
        (root,) = tree.pids()
        assert tree.cpu_seconds() >= 0.3
        assert tree.pss_bytes() > 1 << 20
    finally:
        tree.end()
    assert not Path(f"/proc/{root}").exists()


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    tree = ProcessTree([sys.executable, "-S", "-c", "raise SystemExit('no room')"], tmp_path / "log")
    with pytest.raises(StartError, match="no room"):
        tree.wait_for_port(free_port())
    tree.end()
