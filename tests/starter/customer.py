"""A customer of the shop: asks its handler as a session would, with a visit that lasts, and reads what comes as a browser does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from html.parser import HTMLParser

from netlodge.core.clock import FakeClock
from netlodge.http.handlers.native import FormLimits, Lodging
from netlodge.http.message import Request, Response
from netlodge.starter.shop import shop
from netlodge.store.database import Database
from tests.http.handlers.asking import request_of
from tests.http.handlers.form_requests import MemoryVisit, multipart, urlencoded
from tests.http.wire.multipart_writer import Field

LIMITS = FormLimits(fields=100, field_size=10_000, file_size=4 << 20)


class Page(HTMLParser):
    """What a page has: its tags with their attributes, in order, and its text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.markup = markup
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._text: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self._text.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self._text).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def value(self, name: str) -> str:
        """The value of the input of this name."""
        (field,) = [attributes for attributes in self.all("input") if attributes.get("name") == name]
        return field.get("value") or ""


class Shop:
    """The shop on a database, with a clock that stands still."""

    def __init__(self, database: Database, runner: asyncio.Runner) -> None:
        self.clock = FakeClock()
        self.database = database
        self.handler = shop.make_handler(Lodging(database, self.clock, LIMITS))
        self.runner = runner

    def customer(self, token: str = "t" * 32) -> Customer:
        return Customer(self, token)


class Customer:
    """One browser, with its cookie."""

    def __init__(self, shop: Shop, token: str) -> None:
        self._shop = shop
        self._token = token
        self.visit = MemoryVisit(token=token)

    def ask(self, request: Request) -> Response:
        request.visit = self.visit
        request.route["prefix"] = "/shop"
        response = self._shop.runner.run(self._shop.handler.handle(request))
        if self.visit.has_ended:
            self.visit = MemoryVisit(token=self._token)
        else:
            self.visit = MemoryVisit(self.visit.data, token=self._token)
        return response

    def get(self, path: str, *, status: int = 200) -> Page:
        response = self.ask(request_of("GET", f"/shop{path}"))
        assert response.status == status
        return page_of(response)

    def post(self, path: str, fields: dict[str, str], *, token: str | None = None) -> Response:
        """Send a form, with the token of the visit."""
        pairs = [("token", self._token if token is None else token), *fields.items()]
        return self.ask(urlencoded(f"/shop{path}", pairs))

    def send(self, path: str, fields: Iterable[Field]) -> Response:
        """Send a form with files."""
        return self.ask(multipart(f"/shop{path}", [Field("token", self._token.encode()), *fields]))

    def put_into_basket(self, goods: str, quantity: int = 1) -> None:
        assert place_of(self.post("/basket/add", {"goods": goods, "quantity": str(quantity)})) == "/shop/basket"

    def order(self) -> str:
        """What the page at the till has in its form."""
        return self.get("/checkout").value("order")


def page_of(response: Response) -> Page:
    assert isinstance(response.body, bytes)
    return Page(response.body.decode())


def place_of(response: Response) -> str | None:
    """Where a 303 leads."""
    assert response.status == 303, page_of(response).text
    return response.fields.get("location")
