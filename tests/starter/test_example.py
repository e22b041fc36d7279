"""The application that docs/shop.md shows does what it says."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from netlodge.http.handlers.native import Lodging, is_lodge_application
from netlodge.http.message import Handler, Request, Response
from netlodge.store.database import Database
from tests.http.handlers.asking import request_of
from tests.http.handlers.form_requests import MemoryVisit, urlencoded
from tests.starter.customer import LIMITS, Shop, page_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "shop.md"


def test_the_example_of_the_tour_works(database: Database, runner: asyncio.Runner) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(source, DOCUMENT, "exec"), names)
    app = names["app"]
    assert is_lodge_application(app)
    handler: Handler = app.make_handler(Lodging(database, Shop(database, runner).clock, LIMITS))
    visit = MemoryVisit()

    def ask(request: Request) -> Response:
        request.visit = visit
        return runner.run(handler.handle(request))

    page = page_of(ask(request_of("GET", "/visits/")))
    assert "Good day, stranger. This is visit 1." in page.text
    answer = ask(urlencoded("/visits/", [("token", page.value("token")), ("name", "<b>Ada")]))
    assert (answer.status, answer.fields.get("location")) == (303, "/visits/")
    assert "Good day, <b>Ada. This is visit 2." in page_of(ask(request_of("GET", "/visits/"))).text
