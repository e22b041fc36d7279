"""Compression on the fly, around any handler: text leaves in a coding that the client takes.

RFC 9110 §8.4 (Content-Encoding), §8.8.3.3 (tags of coded content), §9.3.2 (HEAD), §12.5.3 (Accept-Encoding), §12.5.5 (Vary), §13.1.2
(If-None-Match), §13.1.5 (If-Range), §14.3 (Accept-Ranges), §15.4.5 (304), §15.5.7 (406).

The handler below is asked as if there were no codings. What it answers is compressed if it is worth it (`rules/content_codings`) and the
client takes it; its answer says `Vary: accept-encoding` either way. A part of a file is always one of the file as it is: what was
compressed has a weak tag and `Accept-Ranges: none`, so nobody can put parts of both together. Only a date in If-Range could be of either,
and then the whole is sent.

What two sides of an answer have in common shows in how small it gets (BREACH): a page that mixes a secret with what a stranger can put
into it should say `Cache-Control: no-transform`, or be on a route with `compress = false`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import Final

from netlodge.http.handlers.compressor import KEPT_BODY, CodedFile, CodedStream, Compressor, NoContent, compress
from netlodge.http.message import Body, FileBody, Handler, HttpError, Request, Response
from netlodge.http.rules.conditional import parse_entity_tag
from netlodge.http.rules.content_codings import (
    LEAST,
    coded_tag,
    is_compressible,
    may_be_coded,
    tag_of_304,
    with_plain_tags,
)
from netlodge.http.rules.negotiation import merge_vary
from netlodge.http.rules.negotiation_codings import Codings

_KNOWN: Final = 256
"""Accept-Encoding values that are kept as they were read: clients send few different ones."""
_KNOWN_LENGTH: Final = 256
_READS: Final = frozenset({"accept-encoding", "if-none-match", "if-range", "range"})
_ENTITY_TAG_BEGINS: Final = ('"', "W/")


class Compression:
    """Compresses what the handler below answers.

    `inner_varies`: the handler below says Vary itself on what may be compressed (`FilesSettings.is_compressed`), so that it need not be
    guessed for an answer that does not show what it is of: a 304.
    """

    __slots__ = ("_compressor", "_inner", "_inner_varies", "_known")

    def __init__(self, inner: Handler, compressor: Compressor, *, inner_varies: bool = False) -> None:
        self._inner = inner
        self._compressor = compressor
        self._inner_varies = inner_varies
        self._known: dict[str | None, tuple[str | None, bool]] = {}

    async def handle(self, request: Request) -> Response:
        """Raises `HttpError` 406 if the client refuses what is not encoded, and takes no coding that there is; and what the handler
        raises."""
        asked = request.fields
        value = asked.get("accept-encoding")
        known = self._known.get(value)
        coding, refuses_identity = self._read(value) if known is None else known
        if coding and "if-none-match" in asked:
            response = await self._inner.handle(_asked_plainly(request, coding))
        else:
            response = await self._inner.handle(request)
        status, body = response.status, response.body
        if status == 304:
            return self._not_modified(request, response, coding)
        if status == 206:
            return await self._partial(request, response, coding)
        if type(body) is bytes and 0 < len(body) < LEAST and not refuses_identity:
            return response
        if not may_be_coded(status, response.fields) or response.takeover is not None:
            return response
        if coding == "" and body and type(body) is bytes:
            _vary(response)  # it could have been compressed, for another client
            return response
        return await self._coded(request, response, coding, refuses_identity=refuses_identity)

    def _read(self, value: str | None) -> tuple[str | None, bool]:
        codings = Codings(value)
        known = codings.choose(), codings.refuse_identity
        if len(value or "") <= _KNOWN_LENGTH:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[value] = known
        return known

    def _not_modified(self, request: Request, response: Response, coding: str | None) -> Response:
        fields = response.fields
        _vary(response, unless=self._inner_varies)
        value, etag = request.fields.get("if-none-match"), fields.get("etag")
        if coding and value is not None and etag is not None:
            fields.set("etag", tag_of_304(value, etag, coding))
        return response

    async def _partial(self, request: Request, response: Response, coding: str | None) -> Response:
        content_type = response.fields.get("content-type") or ""
        is_multipart = content_type.startswith("multipart/byteranges")  # each part tells its type
        if "content-encoding" in response.fields or not (is_multipart or is_compressible(content_type)):
            return response
        if_range = request.fields.get("if-range")
        if coding and if_range is not None and not if_range.startswith(_ENTITY_TAG_BEGINS):
            # A date: the file as it is and what was compressed of it have the same, and the client may have a part of either.
            await _give_back(response.body)
            return await self.handle(_without_range(request))
        _vary(response, unless=self._inner_varies)
        return response

    async def _coded(
        self, request: Request, response: Response, coding: str | None, *, refuses_identity: bool
    ) -> Response:
        """The answer in a coding, if that makes it smaller."""
        fields, body = response.fields, response.body
        size = _size_of(request, response)
        if size is not None and (size == 0 or (size < LEAST and not refuses_identity)):
            return response
        _vary(response)
        if coding is None and response.status < 300:
            await _give_back(body)
            detail = "The request refuses content without a coding, and every coding that there is: br, zstd and gzip."
            raise HttpError(406, detail, fields=[("vary", "accept-encoding")])
        if not coding or (body == b"" and size is None):
            return response
        try:
            coded = await self._content(response, coding, refuses_identity=refuses_identity)
        except BaseException:
            await _give_back(body)
            raise
        if coded is None:
            return response
        if isinstance(body, FileBody) and not isinstance(coded, CodedFile):
            os.close(body.descriptor)
        response.body = coded
        fields.remove("content-length")
        fields.set("content-encoding", coding)
        if "accept-ranges" in fields:
            fields.set("accept-ranges", "none")
        tag = coded_tag(fields.get("etag") or "", coding)
        if tag is not None:
            fields.set("etag", tag)
        else:
            fields.remove("etag")
        return response

    async def _content(self, response: Response, coding: str, *, refuses_identity: bool) -> Body | None:
        """The content in a coding; None if it stays as it is."""
        body = response.body
        tag = parse_entity_tag(response.fields.get("etag") or "")
        is_version = tag is not None and not tag.is_weak
        if isinstance(body, bytes):
            if not body:
                return NoContent()  # of HEAD
            octets = await self._compressor.octets(body, coding, keep=is_version)
            if not octets and refuses_identity:
                return await self._compressor.in_thread(partial(compress, body, coding))
            return octets or None
        if not isinstance(body, FileBody):
            return CodedStream(body, coding, self._compressor)
        part = body.parts[0]
        if len(body.parts) != 1 or isinstance(part, bytes):
            return None
        offset, count = part
        if offset or count > KEPT_BODY or not is_version:
            return CodedFile(body.descriptor, offset, count, coding, self._compressor)
        done = await self._compressor.file(body.descriptor, count, coding)
        if done is None:
            # It is being changed: what is open goes out as it is, and promises nothing.
            response.remember = None
            response.fields.remove("etag")
            response.fields.remove("last-modified")
        if not done and refuses_identity:
            return CodedFile(body.descriptor, offset, count, coding, self._compressor)
        return done or None


def _size_of(request: Request, response: Response) -> int | None:
    """Octets of the content that GET would get; None if that is not known."""
    body = response.body
    if isinstance(body, FileBody):
        return body.length
    if not isinstance(body, bytes):
        return None
    if body or request.method != "HEAD":
        return len(body)
    told = response.fields.get("content-length") or ""
    return int(told) if told.isascii() and told.isdigit() and len(told) < 20 else None


def _vary(response: Response, *, unless: bool = False) -> None:
    """Say that Accept-Encoding was looked at, and that the answer depends on it."""
    if not unless:
        told = response.fields.get("vary")
        response.fields.set("vary", "accept-encoding" if told is None else merge_vary(told, "accept-encoding"))
    remember = response.remember
    if remember is not None and remember.reads is not None and not remember.reads >= _READS:
        response.remember = replace(remember, reads=remember.reads | _READS)


def _asked_plainly(request: Request, coding: str) -> Request:
    """The request as the handler is asked that knows nothing of the coding. (The fields of a request may be shared: they are copied.)"""
    value = request.fields.get("if-none-match") or ""
    plain = with_plain_tags(value, coding)
    if plain == value:
        return request
    fields = request.fields.copy()
    fields.set("if-none-match", plain)
    return replace(request, fields=fields)


def _without_range(request: Request) -> Request:
    fields = request.fields.copy()
    fields.remove("range")
    fields.remove("if-range")
    return replace(request, fields=fields)


async def _give_back(body: Body) -> None:
    """Close what a body holds that is not sent."""
    if isinstance(body, FileBody):
        os.close(body.descriptor)
    elif not isinstance(body, bytes) and hasattr(body, "aclose"):
        await body.aclose()
