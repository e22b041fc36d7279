"""The counter of the shop: which address is what, and what is done there.

What is only looked at is asked for by GET, with the wish in the URL; what does something is a form by POST that carries the token of the
visit, and is answered with 303 to a page that may be loaded again (RFC 9110 §15.4.4). A visitor who only looks over the shelf gets no cookie:
the first page with such a form on it begins the session.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from netlodge.http.handlers.csrf import read_own_form
from netlodge.http.handlers.forms import Form, Upload, read_form
from netlodge.http.handlers.native import Lodging
from netlodge.http.message import HttpError, Request, Response, Visit
from netlodge.http.rules.methods import method_error, options_response
from netlodge.starter.shop import basket, pictures
from netlodge.starter.shop.goods import SORTS, Goods, find, search
from netlodge.starter.shop.ledger import Item, Ledger, Picture, Purchase, Review
from netlodge.starter.shop.pages import Pages
from netlodge.store.database import DatabaseUnavailableError

NAME_LENGTH: Final = 60
NOTE_LENGTH: Final = 500
REVIEW_LENGTH: Final = 2000
"""Characters."""
SEEN_AGAIN: Final = 60
"""Seconds after which a look at the counter is noted as another one: not every page is worth a write."""

_KEY: Final = re.compile(r"[0-9a-f]{32}").fullmatch


class Place(NamedTuple):
    """An address below the shop's own, and what answers there. A step gets what the pattern found."""

    pattern: re.Pattern[str]
    steps: Mapping[str, Callable[..., Awaitable[Response]]]


class Counter:
    """Implements `message.Handler`."""

    def __init__(self, lodging: Lodging) -> None:
        self._ledger = Ledger(lodging.database)
        self._clock = lodging.clock
        self._limits = lodging.forms
        self._pages = Pages()
        self._places = tuple(
            Place(re.compile(pattern), steps)
            for pattern, steps in (
                (r"/?", {"GET": self._shelf}),
                (r"/goods/([a-z]+)", {"GET": self._goods}),
                (r"/goods/([a-z]+)/review", {"POST": self._review}),
                (r"/basket", {"GET": self._basket, "POST": self._change_basket}),
                (r"/basket/add", {"POST": self._add}),
                (r"/checkout", {"GET": self._checkout, "POST": self._buy}),
                (r"/purchases", {"GET": self._purchases}),
                (r"/purchases/([0-9a-f]{32})", {"GET": self._purchase}),
                (r"/pictures/([0-9a-f]{32})", {"GET": self._picture}),
                (r"/name", {"GET": self._name, "POST": self._change_name}),
                (r"/forget", {"GET": self._ask_to_forget, "POST": self._forget}),
                (r"/forgotten", {"GET": self._forgotten}),
                (r"/style\.css", {"GET": self._style}),
            )
        )

    async def handle(self, request: Request) -> Response:
        """Answer with a page, also where something is wrong. Raises only what ends the connection (`HttpError.must_close`, `BodyError`)."""
        try:
            return await self._answer(request)
        except DatabaseUnavailableError:
            error = HttpError(
                503,
                "The shop cannot reach its books right now. Nothing was lost; please try again in a moment.",
                fields=[("retry-after", "5")],
            )
        except HttpError as refusal:
            if refusal.must_close:
                raise
            error = refusal
        return self._pages.error(request, error)

    async def _answer(self, request: Request) -> Response:
        path = request.path[len(request.route.get("prefix", "")) :]
        for pattern, steps in self._places:
            if (match := pattern.fullmatch(path)) is None:
                continue
            allow = ", ".join(sorted({*steps, *({"HEAD"} if "GET" in steps else ()), "OPTIONS"}))
            if request.method == "OPTIONS":
                return options_response(allow)
            step = steps.get("GET" if request.method == "HEAD" else request.method)
            if step is None:
                raise method_error(request.method, allow)
            return await step(request, *match.groups())
        raise HttpError(404, "There is nothing at this address. The shelf has everything that the shop sells.")

    # --- looking ---------------------------------------------------------------------------------------------------------

    async def _shelf(self, request: Request) -> Response:
        with await read_form(request, self._limits) as form:
            query = clean(form.get("q"), NAME_LENGTH)
            sort = form.get("sort") if form.get("sort") in SORTS else "shelf"
        seen = self._note_visit(request.visit)
        found = search(query, sort)
        return self._pages.page("shelf", request, goods=found, query=query, sort=sort, sorts=SORTS, seen=seen)

    def _note_visit(self, visit: Visit | None) -> int:
        """When a visitor whom the shop knows was last here, in seconds since the epoch; 0 for all others."""
        if visit is None or visit.is_new:
            return 0
        seen = int(visit.data.get("seen", 0))
        if self._clock.second - seen >= SEEN_AGAIN:
            visit.data["seen"] = self._clock.second
        return seen

    async def _goods(self, request: Request, slug: str) -> Response:
        return await self._goods_page(request, _goods_of(slug))

    async def _goods_page(
        self, request: Request, goods: Goods, status: int = 200, *, complaint: str = "", words: str = ""
    ) -> Response:
        reviews = await self._ledger.reviews(goods.slug)
        return self._pages.page(
            "goods",
            request,
            status,
            goods=goods,
            reviews=reviews,
            most=basket.MOST,
            complaint=complaint,
            words=words,
            length=REVIEW_LENGTH,
            types=pictures.TYPES,
        )

    async def _picture(self, request: Request, key: str) -> Response:
        picture = await self._ledger.picture(key)
        if picture is None:
            raise HttpError(404, "There is no such picture; whoever sent it may have taken it away.")
        return self._pages.picture(request, picture.content, picture.media_type)

    async def _style(self, request: Request) -> Response:
        return self._pages.style(request)

    # --- the basket ------------------------------------------------------------------------------------------------------

    async def _basket(self, request: Request) -> Response:
        lines = basket.lines(_visit_of(request).data)
        return self._pages.page("basket", request, lines=lines, total=basket.total(lines), most=basket.MOST)

    async def _add(self, request: Request) -> Response:
        with await read_own_form(request, self._limits) as form:
            goods = _goods_of(form.get("goods"))
            quantity = _quantity(form.get("quantity", "1"), least=1)
        visit = _visit_of(request)
        now = basket.add(visit.data, goods, quantity)
        visit.data["notice"] = f"{goods.title}: {now} in your basket."
        return self._pages.see_other(request, "/basket")

    async def _change_basket(self, request: Request) -> Response:
        """New quantities, and with the button `remove` one kind of goods less."""
        with await read_own_form(request, self._limits) as form:
            quantities = {
                name.removeprefix("quantity-"): _quantity(value, least=0)
                for name, value in form.values
                if name.startswith("quantity-")
            }
            if "remove" in form:
                quantities[form.get("remove")] = 0
        data = _visit_of(request).data
        basket.change(data, {slug: quantity for slug, quantity in quantities.items() if slug in data.get("basket", {})})
        return self._pages.see_other(request, "/basket")

    # --- buying ----------------------------------------------------------------------------------------------------------

    async def _checkout(self, request: Request) -> Response:
        data = _visit_of(request).data
        if not basket.lines(data):
            return self._pages.see_other(request, "/basket")
        return self._checkout_page(request, name=data.get("name", ""), note="")

    def _checkout_page(
        self, request: Request, status: int = 200, *, name: str, note: str, complaint: str = ""
    ) -> Response:
        data = _visit_of(request).data
        lines = basket.lines(data)
        return self._pages.page(
            "checkout",
            request,
            status,
            lines=lines,
            total=basket.total(lines),
            order=basket.order(data),
            collector=name,
            note=note,
            complaint=complaint,
            name_length=NAME_LENGTH,
            note_length=NOTE_LENGTH,
        )

    async def _buy(self, request: Request) -> Response:
        """Write the purchase down, empty the basket, and show the receipt: of this order once, however often it is sent."""
        with await read_own_form(request, self._limits) as form:
            order = form.get("order")
            name, note = clean(form.get("name"), NAME_LENGTH), clean(form.get("note"), NOTE_LENGTH)
        data = _visit_of(request).data
        visitor = data.get("visitor", "")
        lines = basket.lines(data)
        if not lines or order != data.get("order"):
            if _KEY(order) and visitor and await self._ledger.purchases(visitor, order):
                return self._pages.see_other(request, f"/purchases/{order}")
            raise HttpError(409, "Your basket has changed since that page was shown. Look it over, and order again.")
        if not name:
            return self._checkout_page(
                request, 422, name="", note=note, complaint="Please say who will collect the goods."
            )
        items = tuple(Item(line.goods.slug, line.goods.title, line.goods.price, line.quantity) for line in lines)
        await self._ledger.record(visitor, Purchase(order, self._clock.second, name, note, items))
        basket.clear(data)
        data["notice"] = "Thank you. It is written down, and waits for you at the lodge."
        return self._pages.see_other(request, f"/purchases/{order}")

    async def _purchases(self, request: Request) -> Response:
        visitor = _visit_of(request).data.get("visitor")
        purchases = await self._ledger.purchases(visitor) if visitor else []
        return self._pages.page("purchases", request, purchases=purchases)

    async def _purchase(self, request: Request, key: str) -> Response:
        visitor = _visit_of(request).data.get("visitor")
        purchases = await self._ledger.purchases(visitor, key) if visitor else []
        if not purchases:
            raise HttpError(404, "There is no such purchase of yours.")
        return self._pages.page("purchase", request, purchase=purchases[0])

    # --- saying ----------------------------------------------------------------------------------------------------------

    async def _review(self, request: Request, slug: str) -> Response:
        goods = _goods_of(slug)
        with await read_own_form(request, self._limits) as form:
            stars, words = form.get("stars"), clean(form.get("words"), REVIEW_LENGTH, lines=True)
            if stars not in {"1", "2", "3", "4", "5"} or not words:
                complaint = "Please give it one to five stars, and say a word about it."
                return await self._goods_page(request, goods, 422, complaint=complaint, words=words)
            picture = await _picture_of(form)
        visit = _visit_of(request)
        visitor = visit.data.setdefault("visitor", secrets.token_hex(16))
        name = visit.data.get("name", "") or "A guest"
        review = Review(secrets.token_hex(16), self._clock.second, name, int(stars), words, picture is not None)
        await self._ledger.say(visitor, goods.slug, review, picture)
        visit.data["notice"] = "Thank you. Your words are up."
        return self._pages.see_other(request, f"/goods/{goods.slug}#reviews")

    # --- who it is -------------------------------------------------------------------------------------------------------

    async def _name(self, request: Request) -> Response:
        return self._pages.page("name", request, complaint="", length=NAME_LENGTH)

    async def _change_name(self, request: Request) -> Response:
        with await read_own_form(request, self._limits) as form:
            name = clean(form.get("name"), NAME_LENGTH)
        if not name:
            return self._pages.page("name", request, 422, complaint="Please write a name.", length=NAME_LENGTH)
        visit = _visit_of(request)
        # From now on the session is somebody: an identifier that was there before is not to be theirs.
        visit.rotate()
        visit.data["name"] = name
        visit.data["notice"] = f"Good to meet you, {name}."
        return self._pages.see_other(request, "/")

    async def _ask_to_forget(self, request: Request) -> Response:
        return self._pages.page("forget", request)

    async def _forget(self, request: Request) -> Response:
        (await read_own_form(request, self._limits)).close()
        visit = _visit_of(request)
        if visitor := visit.data.get("visitor"):
            await self._ledger.forget(visitor)
        visit.end()
        return self._pages.see_other(request, "/forgotten")

    async def _forgotten(self, request: Request) -> Response:
        return self._pages.page("forgotten", request)


def clean(text: str, length: int, *, lines: bool = False) -> str:
    """Text of a visitor as it is kept: without control and formatting characters, white space made one space, cut to `length` characters.
    With `lines` line ends stay, though no more than one empty line at a time."""
    text = "".join(c for c in text.replace("\r\n", "\n") if c.isprintable() or c.isspace())
    if not lines:
        return " ".join(text.split())[:length].rstrip()
    kept = "\n".join(" ".join(line.split()) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", kept).strip()[:length].rstrip()


def _visit_of(request: Request) -> Visit:
    if request.visit is None:
        raise HttpError(500, "The shop needs sessions: set `sessions = true` on its route.")
    return request.visit


def _goods_of(slug: str) -> Goods:
    goods = find(slug)
    if goods is None:
        raise HttpError(404, "The shop has no such goods. The shelf has everything that it sells.")
    return goods


def _quantity(text: str, *, least: int) -> int:
    """A number that a person wrote."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and int(text) >= least):
        raise HttpError(422, f"A quantity is a whole number from {least} to {basket.MOST}. Go back, and correct it.")
    return int(text)


async def _picture_of(form: Form) -> Picture | None:
    """The picture of a review, if one was sent with it. Raises `HttpError`: 413 for a large one, 415 for what is none."""
    upload: Upload | None = form.file("picture")
    if upload is None:
        return None
    if upload.size > pictures.LARGEST:
        raise HttpError(
            413, f"A picture may have {pictures.LARGEST >> 20} MiB at most. Go back, and choose a smaller one."
        )
    content = await upload.read()
    kind = pictures.picture_type(content)
    if kind is None:
        shown = f"“{upload.file_name}”" if upload.file_name else "The file"
        raise HttpError(415, f"{shown} is not a picture as PNG, JPEG, GIF or WebP. Go back, and choose another one.")
    return Picture(content, kind)
