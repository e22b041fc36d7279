"""A directory served: from the path of a request to a file.

RFC 9110 §9.3.1 (GET), §9.3.2 (HEAD), §9.3.7 (OPTIONS), §15.4.2 (301), §15.5.4 (403), §15.5.5 (404), §15.5.6 (405), §17.3 (names as
an attack). What follows once the file is found stands in `file_answers`.

What a path means is decided anew for each request, from the file system; small files are kept in memory beside that, so that a
request for one costs a `stat` and no `open`. Each answer that anyone may have says, by its `remember`, how to tell that the file
system has not changed since.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import stat
from dataclasses import dataclass, field
from errno import EACCES, EAGAIN, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENOENT, ENOMEM, ENOTDIR, ENXIO, EPERM
from math import inf
from pathlib import Path
from typing import Final

from netlodge.core.contracts import Clock
from netlodge.http.handlers.file_answers import FileAnswers
from netlodge.http.handlers.file_versions import (
    Choice,
    Conditions,
    FileMemory,
    FileReader,
    FileVersion,
    Pairs,
    Pause,
    is_absent,
    is_no_file,
)
from netlodge.http.handlers.listing import Listing
from netlodge.http.handlers.redirect import redirect_response
from netlodge.http.handlers.root import Root
from netlodge.http.handlers.variants import Alternatives, NotAcceptable, VariantSettings, not_acceptable
from netlodge.http.message import Fields, HttpError, Remember, Request, Response
from netlodge.http.rules import negotiation, paths, ranges
from netlodge.http.rules.content_codings import LEAST, is_compressible
from netlodge.http.rules.media_types import MediaTypes
from netlodge.http.rules.methods import unless_read
from netlodge.http.rules.negotiation import merge_vary

_LOG = logging.getLogger(__name__)

_MISSING: Final = frozenset({ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, ENXIO})
"""What the system says when there is no such file: nothing of that name, no such name possible, or a socket."""
_FORBIDDEN: Final = frozenset({EACCES, EPERM})
_EXHAUSTED: Final = frozenset({EMFILE, ENFILE, ENOMEM, EAGAIN})

_FALLBACK_KEY: Final = "fallback"
"""Where the fallback is kept in memory: no path, since it does not begin with a slash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSettings:
    """What is served, and how."""

    root: str | os.PathLike[str]
    index: tuple[str, ...] = ("index.html",)
    """Names tried in order when a directory is asked for."""
    listing: bool = False
    """Whether a directory without an index is listed."""
    listing_entries: int = 10_000
    """`limits.listing_entries`: entries shown of one directory. Precedent: Caddy `browse file_limit` 10000."""
    fallback: str = ""
    """Path below the root of the page of a single-page application: served with 200 where a page was asked for and is not there."""
    hidden: bool = False
    """Whether names that begin with a dot are served."""
    media_types: MediaTypes = field(default_factory=MediaTypes)
    alternatives: VariantSettings = field(default_factory=VariantSettings)
    """Which files beside the one that is asked for may be sent in its place."""
    is_compressed: bool = False
    """Whether an outer handler compresses what is worth it: then the answers say that they vary by that, those without content too."""
    ranges: int = ranges.DEFAULT_LIMIT
    """`limits.ranges`."""
    memory: int = 32 << 20
    """Octets of small files kept in memory."""
    memory_file: int = 64 << 10
    """Octets up to which a file is small. Larger ones go from the page cache to the socket without passing through here."""


class Files:
    """Serves the regular files below a root to GET and HEAD; nothing else, nothing outside.

    Takes the path that is left after `request.route["prefix"]`. A directory without its slash is redirected to the path with it; so
    is a path with empty segments to the one without. `pause` is how it waits for a fresh file to settle; `boundary_secret` is random unless a test wants the same octets twice.
    """

    def __init__(
        self, settings: FilesSettings, *, clock: Clock, pause: Pause = asyncio.sleep, boundary_secret: bytes = b""
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._root = Root(settings.root)
        self._memory = FileMemory(settings.memory)
        self._reader = FileReader(self._root, body_limit=settings.memory_file, clock=clock, pause=pause)
        self._listing = Listing(self._root, entries=settings.listing_entries, show_hidden=settings.hidden)
        self._fallback = self._root.locate(Path(settings.fallback).parts) if settings.fallback else b""
        beside = settings.alternatives
        self._alternatives = (
            Alternatives(self._root, beside, media_types=settings.media_types, clock=clock)
            if beside.variants or beside.precompressed
            else None
        )
        self._answers = FileAnswers(
            self._root,
            clock=clock,
            range_limit=settings.ranges,
            boundary_secret=boundary_secret or secrets.token_bytes(32),
        )

    async def handle(self, request: Request) -> Response:
        """Answer with a file. Raises `HttpError`: 400, 403, 404, 405, 412, 416, 500, 501, 503."""
        if (told := unless_read(request.method)) is not None:
            return told
        path = request.path
        if prefix := request.route.get("prefix"):
            path = path[len(prefix) :]
        try:
            # Keys of the memory are decoded paths: only what is spelt without escapes, in ASCII, is one as it stands. Where there are
            # alternatives, what a path stands for is the request's to say, too.
            is_key = self._alternatives is None and "%" not in path and path.isascii()
            choice = self._memory.get(path) if is_key else None
            if choice is not None and choice.holds():
                choice.is_used = True
            else:
                found = await self._find(request, path)
                if isinstance(found, Response):
                    return found
                choice = found
            return self._answers.answer(request, choice)
        except OSError as error:
            raise _http_error(error) from error

    async def _find(self, request: Request, path: str) -> Choice | Response:
        if not path:
            # The route's own path, without the slash that makes it a directory.
            return redirect_response(
                301, paths.reference(request.path + "/", request.query), Remember(inf, reads=frozenset())
            )
        if "//" in path:
            # What an empty segment means is for the file system to say, and it says: nothing. Go's ServeMux redirects as well.
            return redirect_response(
                301, paths.reference(paths.merge_slashes(request.path), request.query), Remember(inf, reads=frozenset())
            )
        wanted = paths.file_path(path, may_hide=self._settings.hidden)
        place = self._root.locate(wanted.segments)
        key = "/" + "/".join(wanted.segments)
        try:
            status = self._root.status(place)
            if stat.S_ISDIR(status.st_mode):
                if not self._root.contains(place):
                    raise FileNotFoundError(ENOENT, "Outside the root", place)
                if not wanted.is_directory:
                    remember = Remember(inf, _SameDirectory(place, status).holds, reads=frozenset())
                    return redirect_response(301, paths.reference(request.path + "/", request.query), remember)
                return await self._directory(request, place, key.rstrip("/") + "/")
            if wanted.is_directory or not stat.S_ISREG(status.st_mode):
                # Devices are not even opened: that alone may do something.
                raise FileNotFoundError(ENOENT, "Not a regular file", place)
            return await self._choose(request, key, place)
        except OSError as error:
            if error.errno not in _MISSING:
                raise
            if not wanted.is_directory and (chosen := await self._choose_beside(request, place)) is not None:
                return chosen
            if not self._may_fall_back(request, wanted):
                raise
            return await self._fall_back(request, place)

    async def _directory(self, request: Request, place: bytes, key: str) -> Choice | Response:
        passed_over: list[bytes] = []
        for name in self._settings.index:
            candidate = place.rstrip(b"/") + b"/" + name.encode()
            if self._alternatives is not None:
                chosen = await self._choose_beside(request, candidate, tuple(passed_over))
                if chosen is not None:
                    return chosen
            elif not is_no_file(candidate):
                try:
                    return await self._choose(request, key, candidate, tuple(passed_over))
                except FileNotFoundError:
                    if not is_absent(candidate):
                        raise  # it leads outside
            passed_over.append(candidate)
        if self._settings.listing:
            return await self._listing.answer(request, place, is_top=key == "/")
        raise FileNotFoundError(ENOENT, "No index file, and listing is off", place)

    async def _choose(
        self, request: Request, key: str, place: bytes, passed_over: tuple[bytes, ...] = ()
    ) -> Choice | Response:
        """What is sent for a file that is there. Raises `FileNotFoundError` if it has gone meanwhile."""
        if self._alternatives is not None:
            chosen = await self._choose_beside(request, place, passed_over, is_named=key == _FALLBACK_KEY)
            if chosen is None:
                raise FileNotFoundError(ENOENT, "Gone", place)
            return chosen
        name = place.rpartition(b"/")[2].decode("utf-8", "replace")
        version = await self._reader.read(place, self._settings.media_types.of(name))
        choice = Choice(version, conditions=Conditions(passed_over=passed_over), extra=self._told(version))
        self._keep(key, choice)
        return choice

    async def _choose_beside(
        self, request: Request, place: bytes, passed_over: tuple[bytes, ...] = (), *, is_named: bool = False
    ) -> Choice | Response | None:
        """What is sent for a name of which there may be several forms; None if there is none. Those of other names count unless the
        settings name this very file (`is_named`). Raises `PermissionError` if there is none that may be read."""
        if self._alternatives is None:
            return None
        unreadable: dict[bytes, OSError] = {}
        while True:
            pick = await self._alternatives.choose(request.fields, place, unreadable.keys(), is_named=is_named)
            if isinstance(pick, NotAcceptable):
                return not_acceptable(request, pick)
            if pick is None:
                for error in unreadable.values():
                    if isinstance(error, PermissionError):
                        raise error
                return None
            try:
                version = await self._version(pick.place, pick.content_type)
            except (FileNotFoundError, PermissionError) as error:
                # Gone since it was chosen, or it leads outside, or nobody may read it: another may do.
                unreadable[pick.place] = error
                continue
            conditions = pick.conditions._replace(passed_over=(*passed_over, *pick.conditions.passed_over))
            return Choice(version, conditions=conditions, extra=self._told(version, pick.fields))

    async def _version(self, place: bytes, media_type: str) -> FileVersion:
        """The version of a file, from memory if it is there and still the one."""
        key = f"{media_type}\n{os.fsdecode(place)}"
        kept = self._memory.get(key)
        if kept is not None and kept.holds():
            kept.is_used = True
            return kept.version
        choice = Choice(await self._reader.read(place, media_type))
        self._keep(key, choice)
        return choice.version

    def _keep(self, key: str, choice: Choice) -> None:
        if choice.remember is None:
            self._memory.drop(key)
        else:
            self._memory.put(key, choice)

    def _told(self, version: FileVersion, fields: Pairs = ()) -> Pairs:
        """The fields of an answer beside those of the version, with the Accept-Encoding that an outer handler will look at."""
        if not self._settings.is_compressed or version.size < LEAST or not is_compressible(version.media_type):
            return fields
        told = Fields(fields)
        if "content-encoding" not in told:
            told.set("vary", merge_vary(told.get("vary"), "accept-encoding"))
        return tuple(told)

    def _may_fall_back(self, request: Request, wanted: paths.FilePath) -> bool:
        """Whether what is not there looks like a page of the application: a name without extension, if the client takes HTML at
        all; or any name, if the client asks for HTML by name, as browsers do when they navigate."""
        if not self._fallback:
            return False
        accept = request.fields.get("accept")
        if negotiation.names(accept, "text/html"):
            return True
        return "." not in "".join(wanted.segments[-1:]) and negotiation.prefer(accept, ["text/html"]) is not None

    async def _fall_back(self, request: Request, missing: bytes) -> Choice | Response:
        fallback = self._memory.get(_FALLBACK_KEY)
        if fallback is not None and fallback.holds():
            fallback.is_used = True
        else:
            found = await self._choose(request, _FALLBACK_KEY, self._fallback)
            if isinstance(found, Response):
                return found
            fallback = found
        return fallback.beside(missing, vary="accept")


class _SameDirectory:
    """Whether a path still leads to the directory that it led to."""

    __slots__ = ("_identity", "_path")

    def __init__(self, path: bytes, status: os.stat_result) -> None:
        self._path = path
        self._identity = (status.st_dev, status.st_ino)

    def holds(self) -> bool:
        try:
            status = os.stat(self._path)
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and (status.st_dev, status.st_ino) == self._identity


def _http_error(error: OSError) -> HttpError:
    """What the client is told when the system would not give a file. Names that cannot exist are as absent as those that do not."""
    if error.errno in _MISSING:
        return HttpError(404, "There is nothing at this path.")
    if error.errno in _FORBIDDEN:
        return HttpError(403, "The file is there, but the server may not read it.")
    _LOG.error("A file cannot be served: %s", error)
    if error.errno in _EXHAUSTED:
        return HttpError(503, "The server is out of file descriptors or memory.", fields=[("retry-after", "1")])
    return HttpError(500, "The file cannot be read.")
