"""Whether a form was sent from a page of this very site: against pages of others that make a browser send it (CSRF).

What decides is the token of the visit in a hidden field (`message.Visit.token`), which no other site can read. What the browser itself
says of where the request comes from (`rules.origins`) is asked before, as a second defence.
"""

from __future__ import annotations

from typing import Final

from netlodge.http.handlers.forms import Form, read_form
from netlodge.http.handlers.native import FormLimits
from netlodge.http.message import HttpError, Request
from netlodge.http.rules.origins import may_be_of_this_site

FIELD: Final = "token"
"""The hidden field that carries the token."""


async def read_own_form(request: Request, limits: FormLimits) -> Form:
    """The form of a request that does something (POST), if a page of this site sent it. Raises `HttpError` 403, and as `read_form`; then
    nothing is left of the form's files."""
    check_source(request)
    form = await read_form(request, limits)
    try:
        check_token(request, form)
    except HttpError:
        form.close()
        raise
    return form


def check_source(request: Request) -> None:
    """Refuse what a browser says that a page of another site has caused; to be called before the content is read. Other clients say
    nothing of it, and pass. Raises `HttpError` 403."""
    if not may_be_of_this_site(request):
        raise HttpError(
            403, "This form was sent from a page of another site. Open the page here, and send it from there."
        )


def check_token(request: Request, form: Form) -> None:
    """Refuse a form without the token of its visit. Raises `HttpError` 403."""
    if request.visit is None:
        raise HttpError(500, "This route keeps no sessions: forms need `sessions = true` in its settings.")
    if not request.visit.is_token(form.get(FIELD)):
        raise HttpError(
            403,
            "This form does not belong to your visit: it was open for too long, or your browser keeps no cookies. "
            "Go back, load the page again, and send it once more.",
        )
