from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.observe.metrics import MetricsError, Registry
from tests.observe.prometheus import parse


def in_worker(work: Callable[[], None]) -> int:
    """Fork; the worker works, says so, and waits to be killed. Returns its pid once it has said so."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os.write(writer, b"+")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    try:
        assert os.read(reader, 1) == b"+", "the worker failed"
    finally:
        os.close(reader)
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


class TestOneProcess:
    def test_a_counter_sums_what_was_added(self) -> None:
        registry = Registry(slots=2, capacity=8)
        counter = registry.counter("lodge_things_total", "Things.", door="web")
        counter.add()
        counter.add(41)
        assert registry.value("lodge_things_total") == 42
        assert registry.render() == (
            '# HELP lodge_things_total Things.\n# TYPE lodge_things_total counter\nlodge_things_total{door="web"} 42\n'
        )

    def test_the_same_name_and_labels_are_the_same_series(self) -> None:
        registry = Registry(slots=2, capacity=8)
        one = registry.counter("lodge_things_total", "Things.", a="1", b="2")
        assert registry.counter("lodge_things_total", "Things.", b="2", a="1") is one
        assert registry.counter("lodge_things_total", "Things.", a="1", b="3") is not one

    def test_value_sums_the_series_that_have_the_labels(self) -> None:
        registry = Registry(slots=2, capacity=8)
        registry.counter("lodge_things_total", "Things.", door="web", code="2xx").add(1)
        registry.counter("lodge_things_total", "Things.", door="web", code="4xx").add(10)
        registry.counter("lodge_things_total", "Things.", door="names", code="2xx").add(100)
        assert registry.value("lodge_things_total", door="web") == 11
        assert registry.value("lodge_things_total", code="2xx") == 101
        assert registry.value("lodge_others_total") == 0

    def test_families_and_samples_are_sorted(self) -> None:
        registry = Registry(slots=2, capacity=8)
        registry.gauge("lodge_b", "B.", door="z")
        registry.gauge("lodge_a", "A.")
        registry.gauge("lodge_b", "B.", door="a")
        samples = [line for line in registry.render().splitlines() if not line.startswith("#")]
        assert samples == ["lodge_a 0", 'lodge_b{door="a"} 0', 'lodge_b{door="z"} 0']

    def test_a_sparse_series_is_silent_until_it_counts(self) -> None:
        registry = Registry(slots=2, capacity=8)
        counter = registry.counter("lodge_things_total", "Things.", is_sparse=True)
        assert registry.render() == ""
        counter.add()
        assert parse(registry.render())["lodge_things_total"].samples == {("lodge_things_total", ()): 1}

    def test_a_divisor_makes_fractions(self) -> None:
        registry = Registry(slots=2, capacity=8)
        registry.counter("lodge_seconds_total", "Seconds.", divisor=1_000_000).add(1_250_000)
        assert "lodge_seconds_total 1.25\n" in registry.render()

    @given(value=st.text(), help_text=st.text())
    def test_any_label_and_help_text_comes_back_as_it_was(self, value: str, help_text: str) -> None:
        registry = Registry(slots=1, capacity=4)
        registry.gauge("lodge_thing", help_text, label=value).set(7)
        metric = parse(registry.render())["lodge_thing"]
        assert metric.samples == {("lodge_thing", (("label", value),)): 7}
        assert metric.help == help_text

    @pytest.mark.parametrize("name", ["", "1st", "a-b", "a b", "ä", "a\n"])
    def test_a_name_that_prometheus_would_not_take_is_refused(self, name: str) -> None:
        with pytest.raises(MetricsError):
            Registry(slots=1, capacity=4).gauge(name, "Help.")

    def test_a_label_that_prometheus_would_not_take_is_refused(self) -> None:
        with pytest.raises(MetricsError):
            Registry(slots=1, capacity=4).gauge("lodge_thing", "Help.", __reserved="x")

    def test_a_counter_must_end_in_total(self) -> None:
        with pytest.raises(MetricsError, match="_total"):
            Registry(slots=1, capacity=4).counter("lodge_things", "Things.")

    def test_one_name_cannot_be_two_kinds(self) -> None:
        registry = Registry(slots=1, capacity=8)
        registry.counter("lodge_things_total", "Things.", door="web")
        with pytest.raises(MetricsError, match="kind"):
            registry.gauge("lodge_things_total", "Things.", door="names")
        with pytest.raises(MetricsError, match="counter"):
            registry.gauge("lodge_things_total", "Things.", door="web")

    def test_a_full_table_refuses_and_keeps_what_it_has(self) -> None:
        registry = Registry(slots=1, capacity=3)
        registry.gauge("lodge_a", "A.").set(1)
        with pytest.raises(MetricsError, match="lodge_h"):
            registry.histogram("lodge_h", "H.", [1.0])
        registry.gauge("lodge_b", "B.").set(2)
        registry.gauge("lodge_c", "C.").set(3)
        with pytest.raises(MetricsError, match="3 cells"):
            registry.gauge("lodge_d", "D.")
        assert [registry.value(f"lodge_{letter}") for letter in "abc"] == [1, 2, 3]


class TestHistogram:
    BOUNDS = (0.001, 0.01, 0.1)

    @pytest.mark.parametrize(
        ("seconds", "cumulative"),
        [
            (0.0, [1, 1, 1, 1]),
            (0.001, [1, 1, 1, 1]),  # a bound belongs to its bucket
            (0.0010001, [0, 1, 1, 1]),
            (0.1, [0, 0, 1, 1]),
            (5.0, [0, 0, 0, 1]),
        ],
    )
    def test_buckets_count_what_took_as_long_or_less(self, seconds: float, cumulative: list[int]) -> None:
        registry = Registry(slots=1, capacity=8)
        histogram = registry.histogram("lodge_duration_seconds", "How long.", self.BOUNDS)
        histogram.note(seconds)
        histogram.flush()
        samples = parse(registry.render())["lodge_duration_seconds"].samples
        assert [
            samples["lodge_duration_seconds_bucket", (("le", bound),)] for bound in ("0.001", "0.01", "0.1", "+Inf")
        ] == cumulative
        assert samples["lodge_duration_seconds_sum", ()] == pytest.approx(seconds, abs=1e-6)
        assert samples["lodge_duration_seconds_count", ()] == 1

    def test_many_at_once_are_many(self) -> None:
        registry = Registry(slots=1, capacity=8)
        histogram = registry.histogram("lodge_duration_seconds", "How long.", self.BOUNDS)
        histogram.note(0.5, 20_000)
        histogram.flush()
        histogram.flush()
        samples = parse(registry.render())["lodge_duration_seconds"].samples
        assert samples["lodge_duration_seconds_count", ()] == 20_000
        assert samples["lodge_duration_seconds_sum", ()] == 10_000

    def test_parts_of_a_microsecond_are_not_lost(self) -> None:
        registry = Registry(slots=1, capacity=8)
        histogram = registry.histogram("lodge_duration_seconds", "How long.", self.BOUNDS)
        for _ in range(1000):
            histogram.note(0.0000004)
            histogram.flush()
        samples = parse(registry.render())["lodge_duration_seconds"].samples
        assert samples["lodge_duration_seconds_sum", ()] == pytest.approx(0.0004, abs=1e-6)


class TestManyProcesses:
    def test_totals_survive_the_kill_of_a_worker_and_its_gauges_do_not(self) -> None:
        registry = Registry(slots=4, capacity=8)
        counter = registry.counter("lodge_things_total", "Things.")
        gauge = registry.gauge("lodge_open", "Open.")

        def work(slot: int) -> None:
            registry.bind(slot)
            counter.add(10**slot)
            gauge.add(5)

        first, second = in_worker(lambda: work(0)), in_worker(lambda: work(1))
        try:
            assert registry.value("lodge_things_total") == 11
            assert registry.value("lodge_open") == 10
        finally:
            kill(first)
        registry.clear_gauges(0)
        assert registry.value("lodge_things_total") == 11
        assert registry.value("lodge_open") == 5
        third = in_worker(lambda: work(0))
        assert registry.value("lodge_things_total") == 12
        assert registry.value("lodge_open") == 10
        kill(second)
        kill(third)

    def test_the_supervisor_counts_beside_its_workers(self) -> None:
        registry = Registry(slots=2, capacity=4)
        counter = registry.counter("lodge_things_total", "Things.")
        counter.add(1)

        def work() -> None:
            registry.bind(1)
            counter.add(2)
            assert registry.value("lodge_things_total") == 3

        kill(in_worker(work))
        counter.add(4)
        assert registry.value("lodge_things_total") == 7

    def test_a_later_generation_has_more_series_and_the_old_one_goes_on(self) -> None:
        registry = Registry(slots=4, capacity=8)
        old_series = registry.counter("lodge_old_total", "Old.")
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                registry.bind(0)
                os.close(writer)
                os.read(reader, 1)  # until the new generation has counted
                old_series.add(100)
                assert registry.value("lodge_old_total") == 101
                assert "lodge_new_total" not in registry.render()
                os._exit(0)
            finally:
                os._exit(1)
        os.close(reader)
        new_series = registry.counter("lodge_new_total", "New.")

        def work() -> None:
            registry.bind(1)
            old_series.add(1)
            new_series.add(2)

        kill(in_worker(work))
        os.close(writer)
        assert os.waitpid(pid, 0)[1] == 0
        assert registry.value("lodge_old_total") == 101
        assert registry.value("lodge_new_total") == 2

    def test_a_worker_registers_nothing_new(self) -> None:
        registry = Registry(slots=1, capacity=4)
        registry.gauge("lodge_a", "A.")
        registry.bind(0)
        registry.gauge("lodge_a", "A.")
        with pytest.raises(MetricsError, match="worker"):
            registry.gauge("lodge_b", "B.")

    def test_per_worker_series_have_a_line_for_each_worker_that_lives(self) -> None:
        registry = Registry(slots=4, capacity=8)
        memory = registry.gauge("lodge_memory_bytes", "Memory.", is_per_worker=True)
        cpu = registry.worker_counter("lodge_cpu_seconds_total", "CPU.", divisor=1000)

        def work(slot: int) -> None:
            registry.bind(slot)
            memory.set(1000 + slot)
            cpu.set(500)

        pids = [in_worker(lambda slot=slot: work(slot)) for slot in (0, 3)]  # type: ignore[misc]
        metrics = parse(registry.render())
        assert metrics["lodge_memory_bytes"].samples == {
            ("lodge_memory_bytes", (("worker", "0"),)): 1000,
            ("lodge_memory_bytes", (("worker", "3"),)): 1003,
        }
        assert metrics["lodge_cpu_seconds_total"].samples["lodge_cpu_seconds_total", (("worker", "0"),)] == 0.5
        for pid in pids:
            kill(pid)
        registry.clear_gauges(0)
        assert set(parse(registry.render())["lodge_memory_bytes"].samples) == {
            ("lodge_memory_bytes", (("worker", "3"),))
        }

    @pytest.mark.parametrize("slot", [-1, 4, 100])
    def test_a_slot_outside_the_table_is_refused(self, slot: int) -> None:
        with pytest.raises(MetricsError, match="0 to 3"):
            Registry(slots=4, capacity=8).bind(slot)
