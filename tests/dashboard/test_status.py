from __future__ import annotations

import asyncio
from html.parser import HTMLParser

import pytest

from netlodge.core.clock import FakeClock
from netlodge.dashboard.page import STYLE_SOURCE, Door, render_page
from netlodge.dashboard.status import Dashboard
from netlodge.http.message import HttpError, Response
from netlodge.observe.metrics import Registry
from netlodge.observe.series import ConnectionSeries, ExchangeSeries, LodgeSeries, WorkerSeries
from tests.dashboard.requests import request
from tests.observe.prometheus import parse
from tests.observe.samples import http_record, line_record

START = 1_700_000_000.0


def lodge() -> Registry:
    """The numbers of a lodge that has been up for a day and some hours."""
    registry = Registry()
    LodgeSeries(registry, "0.1.0").start(START)
    connections = ConnectionSeries(registry, "web")
    connections.accepted.add(12345)
    connections.open.add(7)
    worker = WorkerSeries(registry)
    series = ExchangeSeries(registry, http_doors=["web"], line_doors=["uppercase"])
    registry.bind(3)
    worker.start(START + 60)
    series.count({http_record(sent=2048): 3, http_record(status=404, is_recalled=True): 1, line_record(): 5})
    return registry


def dashboard(**changes: object) -> Dashboard:
    said: dict[str, object] = {
        "registry": lodge(),
        "clock": FakeClock(START + 100_000),
        "version": "0.1.0",
        "doors": [Door("web", ("127.0.0.1:8080", "[::1]:8080")), Door("uppercase", ("127.0.0.1:12000",))],
        "names": ["Lodge.Example"],
    }
    return Dashboard(**(said | changes))  # type: ignore[arg-type]


def ask(target: str, method: str = "GET", host: str = "localhost") -> Response:
    return asyncio.run(dashboard().handle(request(target, method=method, host=host)))


class Page(HTMLParser):
    """Reads a page strictly enough: elements must be closed in order, and cells come out as rows."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.facts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)
        if self.open and self.open[-1] in ("dt", "dd"):
            self.facts.append(data)


class TestThePage:
    def test_it_shows_how_the_lodge_does(self) -> None:
        response = ask("/")
        assert isinstance(response.body, bytes)
        page = Page(response.body.decode())
        facts = dict(zip(page.facts[::2], page.facts[1::2], strict=True))
        assert facts["up for"] == "1 d 3 h"
        assert facts["workers"] == "1"
        assert facts["HTTP requests"] == "4"
        assert facts["answered from recall"] == "25%"
        assert facts["sentences and datagrams"] == "5"
        web, uppercase = page.rows[1], page.rows[2]
        assert web == ["web", "127.0.0.1:8080, [::1]:8080", "7", "12\u2009345", "4", "1", "0", "6149 B"]
        assert uppercase[:2] == ["uppercase", "127.0.0.1:12000"]
        assert uppercase[4] == "5"
        assert page.rows[4][:2] == ["3", "1 d 3 h"]

    def test_it_loads_nothing_runs_nothing_and_refreshes_itself(self) -> None:
        response = ask("/")
        assert isinstance(response.body, bytes)
        page = Page(response.body.decode())
        tags = [tag for tag, _ in page.seen]
        assert not {"script", "img", "iframe", "object", "link"} & set(tags)
        assert not any(name.startswith("on") or name == "src" for _, attrs in page.seen for name in attrs)
        assert ("meta", {"http-equiv": "refresh", "content": "5"}) in page.seen
        policy = response.fields.get("content-security-policy") or ""
        assert "default-src 'none'" in policy
        assert STYLE_SOURCE in policy

    def test_names_from_the_settings_are_escaped(self) -> None:
        text = render_page(Registry(), [Door("<b>&", ('"<i>',))], "<u>", START)
        page = Page(text)
        assert not {"b", "i", "u"} & {tag for tag, _ in page.seen}
        assert page.rows[1][:2] == ["<b>&", '"<i>']

    def test_a_lodge_that_has_just_begun_has_a_page(self) -> None:
        page = Page(render_page(Registry(), [], "0.1.0", START))
        assert page.facts[:2] == ["up for", "?"]


class TestTheDoor:
    def test_metrics(self) -> None:
        response = ask("/metrics")
        assert isinstance(response.body, bytes)
        assert parse(response.body.decode())["netlodge_http_requests_total"]
        assert response.fields.get("content-type") == "text/plain; version=0.0.4; charset=utf-8"

    def test_head_is_answered_as_get(self) -> None:
        assert ask("/", "HEAD").status == 200

    @pytest.mark.parametrize(
        ("method", "target", "status"),
        [("GET", "/index.html", 404), ("POST", "/", 405), ("OPTIONS", "/metrics", 405), ("GET", "//", 404)],
    )
    def test_what_it_has_not_is_refused(self, method: str, target: str, status: int) -> None:
        with pytest.raises(HttpError) as refusal:
            ask(target, method)
        assert refusal.value.status == status

    @pytest.mark.parametrize(
        "host",
        [
            "localhost",
            "LOCALHOST",
            "app.localhost",
            "127.0.0.1",
            "192.0.2.7",
            "[::1]",
            "lodge.example",
            "lodge.example.",
            "",
        ],
    )
    def test_it_answers_to_its_own_names(self, host: str) -> None:
        assert ask("/", host=host).status == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "lodge.example.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "xlocalhost",
        ],
    )
    @pytest.mark.parametrize("target", ["/", "/metrics", "/other"])
    def test_a_name_that_someone_else_gave_this_address_gets_421(self, host: str, target: str) -> None:
        with pytest.raises(HttpError) as refusal:
            ask(target, host=host)
        assert refusal.value.status == 421
