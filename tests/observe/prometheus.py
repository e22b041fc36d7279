"""A strict reader of the Prometheus text format 0.0.4: what it takes, any scraper takes; what breaks a rule fails the test."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|\Z)')
_ESCAPE = re.compile(r'\\(\\|"|n)')


@dataclass
class Metric:
    kind: str
    help: str
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)


def parse(text: str) -> dict[str, Metric]:
    """Families by name. Each has one HELP, then one TYPE, then its samples, all together, no sample twice."""
    assert text.endswith("\n")
    metrics: dict[str, Metric] = {}
    help_name, help_text, current = "", "", ""
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            _, _, help_name, help_text = line.split(" ", 3)
            assert help_name not in metrics, f"{help_name} comes twice"
            current = ""
        elif line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            assert current == help_name, "TYPE without HELP before it"
            assert kind in {"counter", "gauge", "histogram"}
            metrics[current] = Metric(kind, _unescape(help_text))
        else:
            name, labels, value = _sample(line)
            metric = metrics[current]
            suffixes = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
            assert name in {current + suffix for suffix in suffixes}, f"{name} is no sample of {current}"
            assert (name, labels) not in metric.samples, f"{line} comes twice"
            metric.samples[name, labels] = value
    for name, metric in metrics.items():
        _check(name, metric)
    return metrics


def _sample(line: str) -> tuple[str, tuple[tuple[str, str], ...], float]:
    match = _SAMPLE.fullmatch(line)
    assert match, f"no sample: {line!r}"
    labels: list[tuple[str, str]] = []
    if match[2]:
        inside, position = match[2][1:-1], 0
        while position < len(inside):
            label = _LABEL.match(inside, position)
            assert label, f"no label: {inside[position:]!r}"
            labels.append((label[1], _unescape(label[2])))
            position = label.end()
    assert len(dict(labels)) == len(labels), "a label comes twice"
    return match[1], tuple(labels), float(match[3])


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)


def _check(name: str, metric: Metric) -> None:
    assert metric.samples, f"{name} has no sample"
    if metric.kind == "counter":
        assert name.endswith("_total")
        assert all(value >= 0 for value in metric.samples.values())
    if metric.kind == "histogram":
        series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        for (sample, labels), value in metric.samples.items():
            if sample.endswith("_bucket"):
                bound = float(dict(labels)["le"])
                rest = tuple(pair for pair in labels if pair[0] != "le")
                series.setdefault(rest, []).append((bound, value))
        for labels, buckets in series.items():
            assert buckets == sorted(buckets), "buckets rise, in bound and in count"
            assert buckets[-1] == (float("inf"), metric.samples[f"{name}_count", labels])
            assert (f"{name}_sum", labels) in metric.samples
