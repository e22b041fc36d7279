"""The applications that tests/e2e/test_applications.py serves: each written as its framework's own documentation has it, none knows the lodge.

Copied into the folder of a lodge, beside its settings file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import django  # type: ignore[import-untyped]
import fastapi
import flask
from django.conf import settings  # type: ignore[import-untyped]
from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]
from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]
from django.http import FileResponse as DjangoFileResponse  # type: ignore[import-untyped]
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path, reverse  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

HERE = Path(__file__).parent
PIECE = b"0123456789abcdef" * 4096
"""64 KiB."""


def note(line: str) -> None:
    """What tests look for afterwards."""
    with (HERE / "notes").open("a") as notes:
        notes.write(f"{line}\n")


# --- Starlette ----------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    note(f"startup in {os.getpid()}")
    yield {"greeting": "hello"}
    note(f"shutdown in {os.getpid()}")


async def home(request: Request) -> Response:
    return JSONResponse(
        {
            "greeting": request.state.greeting,
            "root_path": request.scope["root_path"],
            "path": request.scope["path"],
            "here": str(request.url_for("home")),
            "query": dict(request.query_params),
        }
    )


async def form(request: Request) -> Response:
    async with request.form() as fields:
        return JSONResponse(
            {
                name: value if isinstance(value, str) else f"{value.filename}: {len(await value.read())}"
                for name, value in fields.items()
            }
        )


async def upload(request: Request) -> Response:
    octets = 0
    async for piece in request.stream():
        octets += len(piece)
    return PlainTextResponse(str(octets))


async def download(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(int(request.query_params["pieces"])):
            yield PIECE

    return StreamingResponse(pieces(), media_type="application/octet-stream")


async def background(request: Request) -> Response:
    return PlainTextResponse("answered", background=BackgroundTask(note, "background task ran"))


async def defect(request: Request) -> Response:
    raise ValueError("a defect of the application")


async def broken_stream(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield PIECE
        await asyncio.sleep(0)
        raise ValueError("a defect in the middle")

    return StreamingResponse(pieces())


async def wait(request: Request) -> Response:
    note("waits")
    while not await request.is_disconnected():  # noqa: ASYNC110  as applications do
        await asyncio.sleep(0.005)
    note("noticed that the client is gone")
    return PlainTextResponse("nobody reads this")


async def endless(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield PIECE
        finally:
            note("endless stream ended")

    return StreamingResponse(pieces())


async def document(request: Request) -> Response:
    return FileResponse(HERE / "document.txt")


async def now(request: Request) -> Response:
    return PlainTextResponse(
        repr(time.monotonic()), headers={"cache-control": request.query_params.get("say", "public, max-age=1")}
    )


async def injected(request: Request) -> Response:
    return PlainTextResponse("x", headers={"x-injected": "a\r\nset-cookie: stolen=1"})


class AddField(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers["x-middleware"] = "was here"
        return response


ROUTES = [
    Route("/", home, name="home"),
    Route("/form", form, methods=["POST"]),
    Route("/upload", upload, methods=["POST"]),
    Route("/download", download),
    Route("/background", background),
    Route("/defect", defect),
    Route("/broken", broken_stream),
    Route("/wait", wait),
    Route("/endless", endless),
    Route("/document", document),
    Route("/now", now),
    Route("/injected", injected),
]
plain = Starlette(routes=ROUTES, lifespan=lifespan)
dressed = Starlette(routes=ROUTES, lifespan=lifespan, middleware=[Middleware(AddField)])


async def failing(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "Traceback\nOSError: there is no database"})


# --- FastAPI --------------------------------------------------------------------------------------------------------------------

api = fastapi.FastAPI()


@api.get("/items/{number}")
async def item(number: int, short: bool = False) -> dict[str, object]:
    return {"number": number, "short": short}


@api.post("/files")
def files(file: fastapi.UploadFile) -> dict[str, object]:
    """No coroutine function: FastAPI runs it in a thread."""
    return {"name": file.filename, "size": file.size}


# --- Django -----------------------------------------------------------------------------------------------------------------------


def django_home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{type(request).__name__} {request.path} {reverse('home')} {request.build_absolute_uri()}")


def django_form(request: HttpRequest) -> HttpResponse:
    sizes = ",".join(f"{name}:{file.size}" for name, file in request.FILES.items())
    return HttpResponse(f"{request.POST.get('name')} {sizes}")


def django_stream(request: HttpRequest) -> StreamingHttpResponse:
    def pieces() -> Iterator[bytes]:
        for _ in range(10):
            yield PIECE

    return StreamingHttpResponse(pieces())


def django_document(request: HttpRequest) -> DjangoFileResponse:
    return DjangoFileResponse((HERE / "document.txt").open("rb"))


def django_defect(request: HttpRequest) -> HttpResponse:
    raise ValueError("a defect of the application")


urlpatterns = [
    path("", django_home, name="home"),
    path("form", django_form),
    path("stream", django_stream),
    path("document", django_document),
    path("defect", django_defect),
]
settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    LOGGING_CONFIG=None,
)
django.setup()
django_asgi = get_asgi_application()
django_wsgi = get_wsgi_application()

# --- Flask ------------------------------------------------------------------------------------------------------------------------

flask_app = flask.Flask(__name__)


@flask_app.get("/")
def flask_home() -> str:
    return f"{flask.request.script_root} {flask.request.path} {flask.url_for('flask_home', _external=True)}"


@flask_app.post("/form")
def flask_form() -> dict[str, object]:
    file = flask.request.files.get("file")
    return {"name": flask.request.form.get("name"), "size": len(file.read()) if file else 0}


@flask_app.post("/upload")
def flask_upload() -> str:
    octets = 0
    while piece := flask.request.stream.read(65536):
        octets += len(piece)
    return str(octets)


@flask_app.get("/stream")
def flask_stream() -> flask.Response:
    return flask.Response(PIECE for _ in range(int(flask.request.args["pieces"])))


@flask_app.get("/document")
def flask_document() -> flask.Response:
    return flask.send_file(HERE / "document.txt")


@flask_app.get("/defect")
def flask_defect() -> str:
    raise ValueError("a defect of the application")


def make_flask() -> flask.Flask:
    return flask_app
