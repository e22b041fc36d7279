"""Versions of files: what a file is at one moment, told apart from what it was a moment before.

A version is known by its signature: device, inode, size and the two stamps of modification and change. A change of content always
sets the change stamp, which no one can put back (`os.utime` itself moves it). But the kernel's stamps move only with its tick, so a
file that was changed within the current tick may change again and keep its signature. Such a file is *fresh*: it is looked at again
when the tick is over, and as long as it stays fresh nothing that rests on its signature is promised to anyone.

RFC 9110 §8.8.1 (strong validators), §8.8.2 (Last-Modified), §8.8.3 (ETag).
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final, NamedTuple

from netlodge.core.contracts import Clock
from netlodge.http.handlers.root import Root
from netlodge.http.message import SELECTING, Fields, Remember
from netlodge.http.rules.conditional import EntityTag
from netlodge.http.rules.dates import FIRST_SECOND, LAST_SECOND, imf_fixdate
from netlodge.http.rules.negotiation import merge_vary

Signature = tuple[int, int, int, int, int]
Pause = Callable[[float], Awaitable[None]]
Pairs = tuple[tuple[str, str], ...]

FRESH_NS: Final = 20_000_000
"""Age in nanoseconds below which a stamp may yet be given a second time: two ticks of the slowest kernel (100 Hz)."""
COARSE_FRESH_NS: Final = 2_000_000_000
"""The same on a file system whose stamps are whole seconds, or pairs of them (FAT)."""
TRIES: Final = 4
"""How often a file is looked at before it counts as one that is always changing."""
HASHED: Final = 1 << 20
"""Size in octets up to which a file that is always changing is read whole, to make an entity tag of its content."""
OVERHEAD: Final = 1024
"""What remembering a file costs in memory beside its content, in octets."""


def signature_of(status: os.stat_result) -> Signature:
    return (status.st_ctime_ns, status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev)


def tag_of(status: os.stat_result) -> EntityTag:
    """The entity tag of a version of which is known that any change shows in its signature."""
    # A digest keeps inode numbers to ourselves.
    return EntityTag.of(repr(signature_of(status)).encode())


def last_modified_of(status: os.stat_result) -> int | None:
    """The second for Last-Modified, rounded up; None if no such date can be written."""
    modified = -(-status.st_mtime_ns // 1_000_000_000)
    return modified if FIRST_SECOND <= modified <= LAST_SECOND else None


class FileVersion:
    """One version of a file, and the fields of its answers, rendered once.

    `body` is the content, if it was read; `is_settled` says that a change will show in the signature; if not, nothing may be
    remembered. `last_modified` is rounded up to a whole second: a client that asks with the date of a second in which the file
    changed afterwards does not get a 304 for the older content (a floor would tell both versions by one date, RFC 9110 §8.8.2.2).
    """

    __slots__ = ("body", "etag", "is_settled", "last_modified", "media_type", "pairs", "path", "signature", "size")

    def __init__(
        self,
        path: bytes,
        status: os.stat_result,
        media_type: str,
        *,
        body: bytes | None = None,
        etag: EntityTag | None = None,
        is_settled: bool = False,
    ) -> None:
        self.path = path
        self.signature = signature_of(status)
        self.size = status.st_size if body is None else len(body)
        self.body = body
        self.etag = etag
        self.is_settled = is_settled
        self.media_type = media_type
        self.last_modified = last_modified_of(status)
        pairs = [("content-type", media_type)]
        if etag is not None:
            pairs.append(("etag", str(etag)))
        if self.last_modified is not None:
            pairs.append(("last-modified", imf_fixdate(self.last_modified)))
        pairs.append(("accept-ranges", "bytes"))
        self.pairs: Pairs = tuple(pairs)


class Conditions(NamedTuple):
    """What must be as it was beside a file, for it to be the one that is chosen."""

    absent: tuple[bytes, ...] = ()
    """Paths at which nothing may be."""
    passed_over: tuple[bytes, ...] = ()
    """Paths at which no regular file may be: a directory named like an index is none."""
    unchanged: tuple[tuple[bytes, Signature], ...] = ()
    """Files and directories that must have the signature that they had. A directory's changes when a name in it comes or goes."""
    are_settled: bool = True
    """Whether a change of those will show in their signatures."""

    def hold(self) -> bool:
        """Never raises."""
        return (
            all(_is_unchanged(path, signature) for path, signature in self.unchanged)
            and all(map(is_no_file, self.passed_over))
            and all(map(is_absent, self.absent))
        )


ALONE: Final = Conditions()


def _is_unchanged(path: bytes, signature: Signature) -> bool:
    try:
        return signature_of(os.stat(path)) == signature
    except OSError:
        return False


def is_fresh(status: os.stat_result, now: float) -> bool:
    """Whether what was looked at may yet change without a change of its signature. `now`: seconds since the epoch, of the system's
    clock."""
    # A stamp from the future (a clock that was put back) cannot be given again before that moment: not fresh.
    return -FRESH_NS < int(now * 1e9) - status.st_ctime_ns < (COARSE_FRESH_NS if _is_coarse(status) else FRESH_NS)


class Choice:
    """What a path stands for: a version of a file, chosen because others that go before it were absent, or less fitting."""

    __slots__ = ("_conditions", "_extra", "_is_alone", "is_used", "pairs", "remember", "version")

    def __init__(self, version: FileVersion, *, conditions: Conditions = ALONE, extra: Pairs = ()) -> None:
        self.version = version
        self._conditions = conditions
        self._is_alone = conditions == ALONE
        self._extra = extra
        self.pairs: Pairs = (*version.pairs, *extra)
        """The fields of a 200."""
        is_settled = version.is_settled and conditions.are_settled
        self.remember = Remember(inf, self.holds, reads=SELECTING) if is_settled else None
        self.is_used = False

    def of(self, version: FileVersion) -> Choice:
        """The same choice, of another version."""
        return Choice(version, conditions=self._conditions, extra=self._extra)

    def beside(self, missing: bytes, *, vary: str) -> Choice:
        """The same choice for a path at which there is nothing; `vary` names the fields by which it stands in for that."""
        told = Fields(self._extra)
        told.set("vary", merge_vary(told.get("vary"), vary))
        conditions = self._conditions._replace(absent=(*self._conditions.absent, missing))
        return Choice(self.version, conditions=conditions, extra=tuple(told))

    def holds(self) -> bool:
        """Whether the same file would be chosen now, with the same content. Never raises.

        A link in the path that was repointed leads to another inode, and thus to another signature. (A directory that was moved out
        of the root and linked back keeps the signatures of its files: what is in memory is then what was read when it was inside.)
        """
        version = self.version
        try:
            status = os.stat(version.path)
        except OSError:
            return False
        # `signature_of`, written out: this is asked before each answer from memory.
        if (status.st_ctime_ns, status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev) != version.signature:
            return False
        return self._is_alone or self._conditions.hold()


def is_absent(path: bytes) -> bool:
    """Whether there is surely nothing at a path. Never raises."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def regular_status(path: bytes) -> os.stat_result | None:
    """The status of the regular file at a path; None if there is none that can be looked at. Never raises."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def is_no_file(path: bytes) -> bool:
    """Whether there is surely no regular file at a path: nothing, or a directory, a device and the like. Never raises."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


class FileMemory:
    """Choices by path, bounded by the octets they keep; what was used since it was last passed over gets a second chance.

    The policy is CLOCK: it costs one flag per use, and a sweep over many files once does not push out those that are wanted.
    """

    __slots__ = ("_choices", "_room", "get")

    def __init__(self, octets: int) -> None:
        self._choices: OrderedDict[str, Choice] = OrderedDict()
        self._room = octets
        self.get = self._choices.get
        """The choice for a path, or None. Whoever uses it sets `is_used`."""

    def put(self, path: str, choice: Choice) -> None:
        self.drop(path)
        self._choices[path] = choice
        self._room -= _cost(choice)
        while self._room < 0:
            oldest_path, oldest = next(iter(self._choices.items()))
            if oldest.is_used:
                oldest.is_used = False
                self._choices.move_to_end(oldest_path)
            else:
                self.drop(oldest_path)

    def drop(self, path: str) -> None:
        choice = self._choices.pop(path, None)
        if choice is not None:
            self._room += _cost(choice)

    def __len__(self) -> int:
        return len(self._choices)


def _cost(choice: Choice) -> int:
    return OVERHEAD + len(choice.version.body or b"")


class FileReader:
    """Reads versions of files below a root.

    Files of at most `body_limit` octets are read whole; of larger ones only the status. `pause` waits for a number of seconds.
    """

    __slots__ = ("_body_limit", "_clock", "_pause", "_root")

    def __init__(self, root: Root, *, body_limit: int, clock: Clock, pause: Pause) -> None:
        self._root = root
        self._body_limit = body_limit
        self._clock = clock
        self._pause = pause

    async def read(self, path: bytes, media_type: str) -> FileVersion:
        """The version of the file at `path` now. Raises like `Root.open_file`.

        Waits, for at most `TRIES` times 20 ms, while the file is fresh; what is then still changing comes back unsettled, with an
        entity tag made of its content if it is small, without one if not. Where stamps are whole seconds nobody is made to wait
        for them: unsettled at once.
        """
        for _ in range(TRIES):
            descriptor, before = self._root.open_file(path)
            try:
                fresh_now = is_fresh(before, self._clock.time())
                if fresh_now and _is_coarse(before):
                    break
                if not fresh_now:
                    body = _read_whole(descriptor, before.st_size) if before.st_size <= self._body_limit else None
                    if signature_of(os.fstat(descriptor)) == signature_of(before):
                        return FileVersion(path, before, media_type, body=body, etag=tag_of(before), is_settled=True)
            finally:
                os.close(descriptor)
            await self._pause(FRESH_NS / 1e9)
        return self._read_unsettled(path, media_type)

    def _read_unsettled(self, path: bytes, media_type: str) -> FileVersion:
        descriptor, status = self._root.open_file(path)
        try:
            if status.st_size > max(HASHED, self._body_limit):
                return FileVersion(path, status, media_type)
            body = _read_whole(descriptor, status.st_size)
        finally:
            os.close(descriptor)
        return FileVersion(path, status, media_type, body=body, etag=EntityTag.of(body))


def _is_coarse(status: os.stat_result) -> bool:
    return status.st_ctime_ns % 1_000_000_000 == 0


def _read_whole(descriptor: int, size: int) -> bytes:
    """The first `size` octets of an open file; fewer if it ends before."""
    pieces: list[bytes] = []
    while size > 0 and (piece := os.read(descriptor, size)):
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
