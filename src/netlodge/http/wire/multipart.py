"""Forms with files as they come over the wire: a sans-I/O parser of multipart/form-data.

RFC 7578 §4.1 (boundary), §4.2 (Content-Disposition), §4.3 (several files), §4.4 (Content-Type), §4.7 (Content-Transfer-Encoding), §4.8
(other fields); RFC 2046 §5.1, §5.1.1 (the grammar of multipart). The content of a part is handed on in the pieces in which it came; what
is held back is the head of a part, and octets that may begin a delimiter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

from netlodge.http.message import Fields, HttpError, MessageError
from netlodge.http.wire.buffer import ReceiveBuffer
from netlodge.http.wire.events import Data
from netlodge.http.wire.grammar import CRLF, TEXT_OCTETS, parse_field_lines

HEAD_FIELDS: Final = 16
"""Fields in the head of one part. Not a setting: two or three have a meaning (RFC 7578 §4.8), and browsers send two."""
PARAMETERS: Final = 16
"""Parameters of one Content-Type or Content-Disposition. Not a setting: two have a meaning."""
PADDING: Final = 70
"""White space behind a delimiter on its line. Not a setting: it bounds what the grammar forgives to transports of mail."""

# RFC 2046 §5.1.1: boundary := 0*69<bchars> bcharsnospace
_boundary = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch
_kind = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z/]++").match
_parameter = re.compile(
    r"""[ \t]*+;[; \t]*+(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]++)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]++)|"((?:[^"\\]++|\\.)*+)"))?"""
).match
_ESCAPES: Final = (("%22", '"'), ("%0D", "\r"), ("%0A", "\n"))
"""What browsers write in a quoted name in the place of what cannot stand there (HTML standard, "multipart/form-data encoding algorithm")."""


class MultipartError(HttpError):
    """Content that is no form as RFC 7578 has it (400), is in an encoding that is not read (415), or passes a limit (413)."""


class MultipartLimits(NamedTuple):
    """How much of a form's structure is taken. How long the contents may be is for whoever reads them to say."""

    parts: int = 1000
    """`limits.form_fields`."""
    head_size: int = 8 << 10
    """`limits.form_head_size`, in octets."""


@dataclass(slots=True)
class PartHead:
    """The beginning of a part: a field of the form."""

    name: str
    """In UTF-8 on the wire; what is not is replaced (RFC 7578 §5.1)."""
    file_name: str | None
    """None if this is no file; empty if the form had room for one and none was chosen. Data, never a path."""
    content_type: str
    """As the client says it, `text/plain` if it does not (RFC 7578 §4.4)."""
    fields: Fields


@dataclass(slots=True)
class EndOfPart:
    """All content of the part has come."""


@dataclass(slots=True)
class EndOfForm:
    """The closing delimiter has come: there are no more parts. What follows is ignored."""


PartEvent = PartHead | Data | EndOfPart | EndOfForm

_END_OF_PART: Final = EndOfPart()
_END_OF_FORM: Final = EndOfForm()


class _State(Enum):
    """Where in the grammar of RFC 2046 §5.1.1 the next octet stands."""

    PREAMBLE = auto()
    DELIMITER = auto()
    """Behind the text of a delimiter, before the end of its line."""
    HEAD = auto()
    CONTENT = auto()
    ENDED = auto()


class MultipartParser:
    """Reads one form. `receive_data` takes octets in any segmentation, `next_event` gives what they mean."""

    __slots__ = ("_buffer", "_delimiter", "_has_ended", "_is_behind_crlf", "_limits", "_parts", "_state")

    def __init__(self, boundary: str, limits: MultipartLimits | None = None) -> None:
        """`boundary` is what `boundary_of` found."""
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._limits = limits or MultipartLimits()
        self._state = _State.PREAMBLE
        self._parts = 0
        self._has_ended = False
        self._buffer = ReceiveBuffer()
        # A delimiter begins with the CRLF before it. The first one may have none before it: here it is.
        self._buffer.feed(CRLF)
        self._is_behind_crlf = False
        """The CRLF in front of the buffer is no content: it ended a head, or begins the delimiter of a part without content."""

    def receive_data(self, data: bytes) -> None:
        """More of the form; what comes behind its end is thrown away."""
        if self._state is not _State.ENDED:
            self._buffer.feed(data)

    def receive_eof(self) -> None:
        """Nothing more will come."""
        self._has_ended = True

    def next_event(self) -> PartEvent | None:
        """The next event; None if more octets are needed, and ever after `EndOfForm`. Raises `MultipartError`; then
        the form is not to be read on."""
        while True:
            state = self._state
            event = _STEPS[state](self)
            if event is not None:
                return event
            if self._state is state:
                break
        if self._has_ended and self._state is not _State.ENDED:
            raise MultipartError(400, "The form ends before its closing delimiter.")
        return None

    # Each step takes what it can, and returns an event; or None, and then has changed the state, or needs more.

    def _skip_preamble(self) -> None:
        """RFC 2046 §5.1.1: "implementations must ignore anything that appears before the first boundary delimiter line"."""
        at = self._buffer.find(self._delimiter)
        if at < 0:
            self._buffer.take_before(self._delimiter)
        else:
            self._buffer.take(at + len(self._delimiter))
            self._state = _State.DELIMITER

    def _end_delimiter(self) -> EndOfForm | None:
        """What stands behind a delimiter on its line: `--` behind the last one, else nothing but padding."""
        buffer = self._buffer
        if buffer.starts_with(b"--"):
            buffer.clear()
            self._state = _State.ENDED
            return _END_OF_FORM
        if buffer.may_become(b"--"):
            return None
        at = buffer.find(CRLF)
        padding = buffer.rest().removesuffix(b"\r") if at < 0 else buffer.take(at + 2)[:-2]
        # RFC 2046 §5.1.1: "Lines in a body-part must not start with the specified dash-boundary". Who reads such a line as content sees
        # another form than who reads it as a delimiter, so it is refused.
        if padding.strip(b" \t") or len(padding) > PADDING:
            raise MultipartError(400, "A line of the form begins like its boundary, and goes on differently.")
        if at >= 0:
            self._parts += 1
            if self._parts > self._limits.parts:
                raise MultipartError(
                    413, f"The form has more than {self._limits.parts} fields.", setting="limits.form_fields"
                )
            self._state = _State.HEAD
        return None

    def _read_head(self) -> PartHead | None:
        buffer = self._buffer
        if buffer.starts_with(b"\r"):
            raise MultipartError(400, "A part of the form has no head.")
        at = buffer.find(b"\r\n\r\n")
        if (len(buffer) - 3 if at < 0 else at) > self._limits.head_size:  # three octets may be of its end
            raise MultipartError(413, "The head of a field is too long.", setting="limits.form_head_size")
        if at < 0:
            return None
        head = parse_part_head(buffer.take(at))
        buffer.take(2)  # the end of its last line; that of the empty line stays in front
        self._is_behind_crlf = True
        self._state = _State.CONTENT
        return head

    def _read_content(self) -> Data | EndOfPart | None:
        buffer, delimiter = self._buffer, self._delimiter
        at = buffer.find(delimiter)
        if self._is_behind_crlf and at != 0:
            if buffer.may_become(delimiter):
                return None
            buffer.take(2)
            self._is_behind_crlf = False
            at -= 2
        if at == 0:
            buffer.take(len(delimiter))
            self._state = _State.DELIMITER
            return _END_OF_PART
        data = buffer.take(at) if at > 0 else buffer.take_before(delimiter)
        return Data(data) if data else None

    def _stay(self) -> None:
        """Nothing follows."""


_STEPS: Final[Mapping[_State, Callable[[MultipartParser], PartEvent | None]]] = {
    _State.PREAMBLE: MultipartParser._skip_preamble,  # noqa: SLF001  the table is part of the class
    _State.DELIMITER: MultipartParser._end_delimiter,  # noqa: SLF001
    _State.HEAD: MultipartParser._read_head,  # noqa: SLF001
    _State.CONTENT: MultipartParser._read_content,  # noqa: SLF001
    _State.ENDED: MultipartParser._stay,  # noqa: SLF001
}


def parse_part_head(octets: bytes) -> PartHead:
    """The head of a part, lines with CRLF between them. Raises `MultipartError`."""
    lines = octets.decode("latin-1").split("\r\n")
    if octets.translate(None, TEXT_OCTETS) != CRLF * (len(lines) - 1):
        raise MultipartError(400, "A control character stands in the head of a field.")
    if len(lines) > HEAD_FIELDS:
        raise MultipartError(400, f"The head of a field has more than {HEAD_FIELDS} lines.")
    try:
        fields = Fields(parse_field_lines(lines))
    except MessageError as error:
        raise MultipartError(400, f"In the head of a field: {error.detail}") from None
    content_type = fields.get("content-type", "text/plain") or "text/plain"
    if content_type[:10].lower() == "multipart/":
        # RFC 7578 §4.3 deprecates multipart/mixed for several files in one field; nobody's forms send it.
        raise MultipartError(400, "A field of the form is a multipart itself; several files are several fields.")
    # RFC 7578 §4.7: "Senders SHOULD NOT generate any parts with a Content-Transfer-Encoding header field." The three named here change nothing.
    if (fields.get("content-transfer-encoding") or "binary").lower() not in {"7bit", "8bit", "binary"}:
        raise MultipartError(415, "A field of the form has a Content-Transfer-Encoding; HTTP needs none.")
    name, file_name = _parse_disposition(fields.get_all("content-disposition"))
    return PartHead(name, file_name, content_type, fields)


def _parse_disposition(values: list[str]) -> tuple[str, str | None]:
    """Name and file name of a field. RFC 7578 §4.2: "Each part MUST contain a Content-Disposition header field [...] where the disposition
    type is "form-data". The Content-Disposition header field MUST also contain an additional parameter of "name"". A parameter `filename*`
    "MUST NOT be used", so it is passed over like any other."""
    kind, parameters = parse_parameters(values[0]) if len(values) == 1 else ("", {})
    if kind != "form-data" or "name" not in parameters:
        raise MultipartError(400, "A part of the form has no Content-Disposition that says form-data and a name.")
    file_name = parameters.get("filename")
    return _unescaped(parameters["name"]), None if file_name is None else _unescaped(file_name)


def _unescaped(value: str) -> str:
    text = value.encode("latin-1").decode("utf-8", "replace")
    for escape, character in _ESCAPES:
        text = text.replace(escape, character)
    return text


def parse_parameters(value: str) -> tuple[str, dict[str, str]]:
    """What a Content-Type or a Content-Disposition says first, and its parameters by name, both in lower case.

    In a quoted string a backslash escapes a quote or a backslash, and stands for itself before anything else: browsers write it so.
    Raises `MultipartError` 400 for what is malformed or has too many parameters, and for a parameter that is there twice: two readers might
    choose differently.
    """
    kind = _kind(value)
    at = kind.end() if kind else 0
    parameters: dict[str, str] = {}
    for name, text in _parameters(value, at) if kind else ():
        if name in parameters:
            raise MultipartError(400, f"The parameter {name} is there twice.")
        parameters[name] = text
        if len(parameters) > PARAMETERS:
            raise MultipartError(
                400, f"A Content-Type or Content-Disposition of the form has more than {PARAMETERS} parameters."
            )
    return kind[0].lower() if kind else "", parameters


def _parameters(value: str, at: int) -> Iterator[tuple[str, str]]:
    while at < len(value):
        match = _parameter(value, at)
        if match is None:
            raise MultipartError(400, "A Content-Type or Content-Disposition of the form is malformed.")
        name, token, quoted = match.groups()
        if name is not None:
            yield name.lower(), token if quoted is None else _unquoted(quoted)
        at = match.end()


def _unquoted(text: str) -> str:
    """Without the backslashes that escape. In pieces between escaped backslashes, which a parameter may be full of: a regular expression
    takes a microsecond for each."""
    return "\\".join(piece.replace('\\"', '"') for piece in text.split("\\\\"))


def boundary_of(content_type: str) -> str:
    """The boundary that the Content-Type of a form names (RFC 7578 §4.1, RFC 2046 §5.1.1). Raises `MultipartError` 400 if it names none."""
    boundary = parse_parameters(content_type)[1].get("boundary", "")
    if not _boundary(boundary):
        raise MultipartError(400, "The Content-Type of the form names no boundary of 1 to 70 characters.")
    return boundary
