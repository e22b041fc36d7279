"""What people see when there is an error: the default body, and pages of one's own in its place.

RFC 9110 §15.5, §15.6 ("the server SHOULD send a representation containing an explanation of the error situation"), §12.5.1.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from errno import EFBIG, EINVAL
from html import escape
from typing import Final

from netlodge.http.message import REASONS, Fields, Handler, HttpError, Request, Response
from netlodge.http.rules.media_types import MediaTypes
from netlodge.http.rules.negotiation import merge_vary, prefer

_LOG = logging.getLogger(__name__)

PAGE_OCTETS: Final = 1 << 20
"""An error page is read whole; one of more octets than this is none."""

_HTML: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1.5rem }}
  h1 {{ font-size: 1.6rem; margin: 0 0 .5rem }}
  p {{ margin: .3rem 0; opacity: .8 }}
</style>
<h1>{title}</h1>
{lines}
</html>
"""


def error_response(error: HttpError, request: Request | None = None) -> Response:
    """The answer for an error: status, reason, the error's detail and the setting of the limit that refused, if one did.

    As HTML if the request's Accept likes that better, else as plain text; without a request (its bytes were none) plain text. The
    fields of the error are in the answer. The body is there for every method: the session leaves it out for HEAD.
    """
    title = f"{error.status} {REASONS.get(error.status, 'Error')}"
    lines = [error.detail] if error.detail else []
    if error.setting:
        lines.append(f"The limit is set by {error.setting}.")
    fields = Fields(error.fields)
    kind = "text/plain"
    if request is not None:
        kind = prefer(request.fields.get("accept"), ("text/plain", "text/html")) or kind
        # Some errors may be stored by caches (§15.1): they must know what made the difference.
        fields.set("vary", merge_vary(fields.get("vary"), "accept"))
    if kind == "text/html":
        paragraphs = "\n".join(f"<p>{escape(line)}</p>" for line in lines)
        text = _HTML.format(title=escape(title), lines=paragraphs)
    else:
        text = "\n".join([title, *lines]) + "\n"
    fields.set("content-type", f"{kind}; charset=utf-8")
    return Response(error.status, fields, text.encode("utf-8"))


class ErrorPages:
    """Puts a page of the site's own in place of the default body of an error that a handler below raised.

    `pages` maps a status to the path of a file. The file is read anew for each error, so that an edit shows at once; if it cannot be
    read, is no regular file or has more than `PAGE_OCTETS`, the default body is sent and the failure logged. Answers with an error status that a handler *returns* (an application's, an
    upstream's) are its own and pass unchanged.
    """

    __slots__ = ("_inner", "_media_types", "_pages")

    def __init__(
        self, inner: Handler, pages: Mapping[int, str | os.PathLike[str]], *, media_types: MediaTypes | None = None
    ) -> None:
        self._inner = inner
        self._pages = {status: os.fspath(path) for status, path in pages.items()}
        self._media_types = media_types or MediaTypes()

    async def handle(self, request: Request) -> Response:
        try:
            return await self._inner.handle(request)
        except HttpError as error:
            path = self._pages.get(error.status)
            if path is None or error.must_close:
                raise
            try:
                page = _read_page(path)
            except OSError as failure:
                _LOG.error("The error page for %d cannot be read: %s", error.status, failure)
                raise error from failure
            fields = Fields(error.fields)
            fields.set("content-type", self._media_types.of(path))
            return Response(error.status, fields, page)


def _read_page(path: str) -> bytes:
    """The whole of a regular file of at most `PAGE_OCTETS`. Raises `OSError`; never waits, as opening a FIFO would."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(EINVAL, "Not a regular file", path)
        page = file.read(PAGE_OCTETS + 1)
    if len(page) > PAGE_OCTETS:
        raise OSError(EFBIG, f"More than {PAGE_OCTETS} octets", path)
    return page
