"""Files that clients replace and remove: PUT and DELETE, before the handler that serves the same folder for reading.

RFC 9110 §8.8.3 (ETag), §9.3.4 (PUT), §9.3.5 (DELETE), §10.1.1 (what is refused is refused before the client sends it), §13.1.1 (If-Match),
§13.1.2 (If-None-Match), §13.2 (preconditions), §14.5 (no partial PUT), §15.3.2 (201), §15.3.5 (204), §15.5.10 (409), §15.5.13 (412),
§15.5.16 (415); RFC 4918 §9.7.1 (409 where the folder is missing), §11.5 (507).

A file is replaced whole, in one step, and is on the disk before the client is told so. The way of a PUT:

    judge    the path, the folder, the room, the preconditions: whatever can be refused is refused before the content is asked for
    receive  the content streams into a file that nobody sees (`store.new_files`)
    place    under the folder's lock the preconditions are judged again, and the file takes its place

Every step that may wait for the disk runs in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from asyncio import Future
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from errno import (
    EACCES,
    EAGAIN,
    EDQUOT,
    EFBIG,
    EILSEQ,
    EISDIR,
    ELOOP,
    EMFILE,
    ENAMETOOLONG,
    ENFILE,
    ENOENT,
    ENOMEM,
    ENOSPC,
    ENOTDIR,
    EPERM,
    EROFS,
    EXDEV,
)
from typing import Any, Final, NamedTuple, TypeVar

from netlodge.core.contracts import Clock
from netlodge.http.handlers.file_versions import last_modified_of, tag_of
from netlodge.http.handlers.redirect import redirect_response
from netlodge.http.handlers.root import Root
from netlodge.http.handlers.turns import Turns
from netlodge.http.message import Fields, Handler, HttpError, Request, RequestBody, Response
from netlodge.http.rules import conditional, paths
from netlodge.http.rules.conditional import Outcome
from netlodge.http.rules.methods import READ_ONLY, WRITABLE, method_error, options_response
from netlodge.store.new_files import NewFile, NewFiles, sync_folder

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

THREADS: Final = 8
"""How many uploads of one route in one worker may wait for the disk at once; the others wait for them."""
BATCH: Final = 256 << 10
"""Octets of one upload that are gathered while the disk has not taken those before. So much again may be on its way to the disk, and so
much in the session's buffer: that is all that an upload takes of memory."""
_TRIES: Final = 3
"""How often a file is put where something that is none of ours appears meanwhile, before the client is told of a conflict."""
_STAMP: Final = 100
"""Nanoseconds to which times of modification are cut: NTFS has no finer ones."""

_ABSENT: Final = frozenset({ENOENT, ENOTDIR, ELOOP})
_FORBIDDEN: Final = (403, "The server may not change files here: the file system does not let it.")
_NO_ROOM: Final = (507, "There is no room left for the file.")
_EXHAUSTED: Final = (503, "The server is out of file descriptors or memory.")
_FAILED: Final = (500, "The file cannot be changed; the server's log says why.")
_MOVED: Final = (409, "The folder was replaced by another while the content came; send the file again.")
_FOLDER_THERE: Final = (409, "There is a folder at this path; a file cannot take its place.")
_REFUSALS: Final[Mapping[int, tuple[int, str]]] = {
    EACCES: _FORBIDDEN,
    EPERM: _FORBIDDEN,
    EROFS: _FORBIDDEN,
    ENOSPC: _NO_ROOM,
    EDQUOT: _NO_ROOM,
    EFBIG: (413, "The file system takes no file of this size."),
    ENAMETOOLONG: (414, "A name in the path is longer than the file system takes."),
    EILSEQ: (400, "A name in the path has characters that the file system does not take."),
    EISDIR: _FOLDER_THERE,
    EXDEV: _MOVED,
    EMFILE: _EXHAUSTED,
    ENFILE: _EXHAUSTED,
    ENOMEM: _EXHAUSTED,
    EAGAIN: _EXHAUSTED,
}
"""What the client is told when the system would not."""


class _Place(NamedTuple):
    """Where a file is to be."""

    folder: bytes
    """Path of the folder that it is in."""
    name: bytes
    path: bytes


class _Found(NamedTuple):
    """What is at a place."""

    status: os.stat_result | None
    """Of the file that reading would find; None if it would find nothing."""
    is_taken: bool
    """Something has the name, be it a link that leads nowhere."""


class Uploads:
    """Replaces and removes the regular files below a root; leaves GET and HEAD to `inner`.

    Takes the path that is left after `request.route["prefix"]`, and reads it as `Files` does: what is hidden from reading (unless
    `may_hide`) cannot be changed either. Folders are neither made nor removed. A link is replaced and removed itself, never what it
    leads to. The root itself is there for reading alone. Who may do all this is for others to ask.
    """

    def __init__(
        self,
        inner: Handler,
        root: str | os.PathLike[str],
        *,
        may_hide: bool,
        new_files: NewFiles,
        clock: Clock,
        turns: Turns,
    ) -> None:
        """`turns` bound how many files are taken at once; all routes of a worker share them."""
        self._inner = inner
        self._root = Root(root)
        self._may_hide = may_hide
        self._new_files = new_files
        self._clock = clock
        self._turns = turns
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="upload")

    def handle(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Raises `HttpError`: 400, 403, 404, 405, 409, 412, 413, 414, 415, 500, 501, 503, 507; what the body and `inner` raise."""
        if request.method == "GET" or request.method == "HEAD":  # noqa: PLR1714  quicker than a set on the hot path
            return self._inner.handle(request)
        return self._change(request)

    async def _change(self, request: Request) -> Response:
        method, path = request.method, request.path
        if prefix := request.route.get("prefix"):
            path = path[len(prefix) :]
        allow = READ_ONLY if path in ("", "/") else WRITABLE
        if method == "OPTIONS":
            return options_response(allow)
        if method not in ("PUT", "DELETE") or allow is READ_ONLY:
            raise method_error(method, allow)
        if "//" in path:
            # As for reading, but the method stays (RFC 9110 §15.4.9).
            return redirect_response(308, paths.reference(paths.merge_slashes(request.path), request.query))
        wanted = paths.file_path(path, may_hide=self._may_hide)
        folder = self._root.locate(wanted.segments[:-1])
        name = wanted.segments[-1].encode()
        place = _Place(folder, name, folder.rstrip(b"/") + b"/" + name)
        try:
            if wanted.is_directory:
                await self._in_thread(self._refuse_folder, place, method)
            if method == "PUT":
                _require_readable_name(name)
                with self._turns:
                    return await self._put(request, place)
            return await self._in_thread(self._delete, request, place)
        except OSError as error:
            raise _http_error(error) from error

    def _in_thread(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    # --- PUT ---------------------------------------------------------------------------------------------------------------

    async def _put(self, request: Request, place: _Place) -> Response:
        _require_whole(request)
        _require_identity(request)
        new = self._new_files.make()
        try:
            await self._in_thread(self._judge, request, place, new)
            await self._receive(request.body, new)
            return await self._in_thread(self._put_in_place, request, place, new)
        except BaseException as error:
            # It waits by itself until no other thread is at the file. Who is still there is told when nothing is left of it.
            discarding = self._threads.submit(new.discard)
            if isinstance(error, HttpError | OSError):
                await asyncio.shield(asyncio.wrap_future(discarding))
            raise

    def _judge(self, request: Request, place: _Place, new: NewFile) -> None:
        """Refuse what can be refused before the content is asked for, and begin the file."""
        folder = self._open_folder(place, _no_folder)
        try:
            found = self._look(folder, place)
            new.open(folder, place.folder)
            _require_room(folder, request.body.length or 0)
            self._require_preconditions(request, found.status)
        finally:
            os.close(folder)

    async def _receive(self, body: RequestBody, new: NewFile) -> None:
        """Write the content as it comes: while one thread writes, more is gathered, up to `BATCH`."""
        writing: Future[None] | None = None
        pieces: list[bytes] = []
        octets = 0
        try:
            while piece := await body.read():
                pieces.append(piece)
                octets += len(piece)
                if writing is not None:
                    if not writing.done() and octets < BATCH:
                        continue
                    await writing
                writing = self._in_thread(new.write, pieces)
                pieces, octets = [], 0
            if writing is not None:
                await writing
            if pieces:
                await self._in_thread(new.write, pieces)
        finally:
            if writing is not None and not writing.cancelled() and not writing.cancel():
                writing.exception()  # was told to the client, or there is no client

    def _put_in_place(self, request: Request, place: _Place, new: NewFile) -> Response:
        # Opened anew: this folder may have taken the place of the other while the content came.
        folder = self._open_folder(place, _no_folder)
        try:
            old = self._look(folder, place).status
            # §8.8.1: a strong validator "changes value whenever a change occurs to the representation data". What somebody writes into the
            # file in the same tick of the kernel's clock has another stamp than this, which is finer than a tick.
            stamp = int(self._clock.time() * 1e9) // _STAMP * _STAMP
            new.sync(mode=None if old is None else stat.S_IMODE(old.st_mode) & 0o777, stamp=stamp)
            with self._new_files.locked(folder):
                old, status = self._replace(request, place, folder, new)
            sync_folder(folder)
        finally:
            os.close(folder)
        # §9.3.4: "An origin server MUST NOT send a validator field [...] in a successful response to PUT unless the request's
        # representation data was saved without any transformation applied to the content": it was.
        fields = Fields([("etag", str(tag_of(status)))] if status.st_mtime_ns == stamp else ())
        # "the origin server MUST inform the user agent by sending a 201 (Created) response", and else "MUST send either a 200 (OK) or a 204".
        return Response(201 if old is None else 204, fields)

    def _replace(
        self, request: Request, place: _Place, folder: int, new: NewFile
    ) -> tuple[os.stat_result | None, os.stat_result]:
        """Put the file in its place, if the preconditions hold now. Returns the status of the one before, and of this one."""
        for _ in range(_TRIES):
            found = self._look(folder, place)
            self._require_preconditions(request, found.status)
            try:
                return found.status, new.put(folder, place.name, replaces=found.is_taken)
            except FileExistsError:
                continue  # of somebody who knows nothing of our lock
            except FileNotFoundError:
                raise _no_folder() from None
        raise HttpError(409, "Something else makes and removes a file at this path; send yours again.")

    # --- DELETE --------------------------------------------------------------------------------------------------------------

    def _delete(self, request: Request, place: _Place) -> Response:
        folder = self._open_folder(place, _nothing_there)
        try:
            with self._new_files.locked(folder):
                status = self._look(folder, place).status
                if status is None:
                    raise _nothing_there()
                self._require_preconditions(request, status)
                try:
                    os.unlink(place.name, dir_fd=folder)
                except FileNotFoundError:
                    raise _nothing_there() from None
            sync_folder(folder)
        finally:
            os.close(folder)
        return Response(204)

    # --- what is there -------------------------------------------------------------------------------------------------------

    def _refuse_folder(self, place: _Place, method: str) -> None:
        """A path that ends in a slash is a folder's, whether it is there or not."""
        if method == "DELETE" and not (os.path.isdir(place.path) and self._root.contains(place.path)):
            raise _nothing_there()
        raise HttpError(409, "A path that ends in a slash is a folder's; only files can be put and deleted.")

    def _open_folder(self, place: _Place, missing: Callable[[], HttpError]) -> int:
        try:
            return self._root.open_directory(place.folder)
        except OSError as error:
            if error.errno in _ABSENT:
                raise missing() from error
            raise

    def _look(self, folder: int, place: _Place) -> _Found:
        """What is there now. Raises `HttpError` 409 if it is neither a file nor nothing."""
        try:
            status = os.stat(place.name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return _Found(None, is_taken=False)
        if stat.S_ISLNK(status.st_mode):
            try:
                status = os.stat(place.name, dir_fd=folder)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                return _Found(None, is_taken=True)
            if not self._root.contains(place.path):
                return _Found(None, is_taken=True)
        if stat.S_ISDIR(status.st_mode):
            raise HttpError(*_FOLDER_THERE)
        if not stat.S_ISREG(status.st_mode):
            raise HttpError(409, "There is something at this path that is no file; it stays.")
        return _Found(status, is_taken=True)

    def _require_preconditions(self, request: Request, status: os.stat_result | None) -> None:
        outcome = conditional.evaluate(
            request.method,
            request.fields,
            etag=None if status is None else tag_of(status),
            last_modified=None if status is None else last_modified_of(status),
            exists=status is not None,
            now=self._clock.second,
        )
        if outcome is Outcome.PRECONDITION_FAILED:
            raise HttpError(412, "What is at this path is not, or no longer, what the request has in mind.")


class ByMethod:
    """Requests that change something go to one handler, all others to another."""

    __slots__ = ("_changes", "_others")

    def __init__(self, *, changes: Handler, others: Handler) -> None:
        self._changes = changes
        self._others = others

    def handle(self, request: Request) -> Coroutine[Any, Any, Response]:
        if request.method in ("PUT", "DELETE"):
            return self._changes.handle(request)
        return self._others.handle(request)


def _require_whole(request: Request) -> None:
    """§14.5: "SHOULD respond with a 400 (Bad Request) status code if it receives Content-Range on a PUT for a target resource that does
    not support partial PUT requests"."""
    if "content-range" in request.fields:
        raise HttpError(400, "A part of a file cannot be put, only a whole one: send it without Content-Range.")


def _require_readable_name(name: bytes) -> None:
    """A name with a line end in it is two to whoever reads a list of files. One that is there can be read and removed."""
    if min(name) < 0x20 or 0x7F in name:
        raise HttpError(400, "The name of the file has control characters.")


def _require_identity(request: Request) -> None:
    """§12.5.3: with a 415 "due to an unsupported content coding", Accept-Encoding says what would have been accepted. To store the coded
    octets would be to serve them later without their coding."""
    if any(coding != "identity" for coding in request.fields.list_of("content-encoding")):
        detail = "A file is stored as it comes: send it without Content-Encoding."
        raise HttpError(415, detail, fields=[("accept-encoding", "identity")])


def _require_room(folder: int, octets: int) -> None:
    """RFC 4918 §11.5, before the client sends what there is no room for. A file system that does not tell its size is believed to have room."""
    room = os.fstatvfs(folder)
    if room.f_blocks and octets > room.f_bavail * room.f_frsize:
        raise HttpError(*_NO_ROOM)


def _no_folder() -> HttpError:
    """RFC 4918 §9.7.1: "A PUT that would result in the creation of a resource without an appropriately scoped parent collection MUST fail
    with a 409 (Conflict)"."""
    return HttpError(409, "The folder that the file would be in is not there; folders are not made here.")


def _nothing_there() -> HttpError:
    return HttpError(404, "There is nothing at this path.")


def _http_error(error: OSError) -> HttpError:
    status, detail = _REFUSALS.get(error.errno or 0, _FAILED)
    if status >= 500:
        _LOG.error("A file cannot be changed: %s", error)
    return HttpError(status, detail, fields=[("retry-after", "1")] if status == 503 else ())
