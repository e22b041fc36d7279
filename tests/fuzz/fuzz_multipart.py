"""A fuzzer for the parser of forms: mutates forms and holds every outcome against what must always be so.

    python -m tests.fuzz.fuzz_multipart --count 100000 --seed 7

Bounded and repeatable: the same seed gives the same inputs. It ends with exit code 1 at the first input that breaks a rule, and prints it.

The rules: nothing but `MultipartError` is raised; the events do not depend on the segmentation; what is held back stays within the
limits; and a form that was read, written again, is read as the same form.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

from netlodge.http.wire.events import Data
from netlodge.http.wire.multipart import (
    EndOfForm,
    EndOfPart,
    MultipartError,
    MultipartLimits,
    MultipartParser,
    PartHead,
)
from tests.fuzz.fuzz_h1 import RuleBrokenError, segments
from tests.http.wire.multipart_writer import Field, written

BOUNDARY = "b-o"
LIMITS = MultipartLimits(parts=6, head_size=200)

FORMS = [
    written([Field("a", b"1"), Field("b", b"\r\n--b-", "f.txt", "text/plain")], BOUNDARY),
    written([Field("a", b""), Field("a", b"x" * 50), Field('q"\r\n', b"\r\n\r\n", "")], BOUNDARY),
    written([], BOUNDARY),
    b"preamble\r\n" + written([Field("a", b"--b-o")], BOUNDARY) + b"epilogue\r\n--b-o--",
    b'--b-o\r\nContent-Disposition: form-data; name="a"\r\n\r\n--b-o \t\r\ncontent-disposition:form-data;name=b\r\n\r\n\r\n--b-o--',
]
TOKENS = [
    b"\r\n", b"\r", b"\n", b"--", b"-", b"--b-o", b"\r\n--b-o", b"\r\n--b-o\r\n", b"\r\n--b-o--", b"\r\n\r\n", b" ", b"\t", b"\x00", b"\xff", b'"',
    b"\\", b";", b"=", b":", b"%22", b"%0D%0A", b"filename=", b"; name=x", b"; filename*=utf-8''x", b"Content-Disposition: form-data; name=c",
    b"Content-Type: multipart/mixed", b"Content-Transfer-Encoding: base64", b"x" * 220,
]  # fmt: skip


def mutate(chance: random.Random, octets: bytes) -> bytes:
    """Up to four small changes."""
    for _ in range(chance.randint(0, 4)):
        at = chance.randint(0, len(octets))
        kind = chance.randrange(4)
        if kind == 0:
            octets = octets[:at] + chance.choice(TOKENS) + octets[at:]
        elif kind == 1:
            octets = octets[:at] + octets[at + chance.randint(1, 4) :]
        elif kind == 2:
            octets = octets[:at] + bytes([chance.randrange(256)]) + octets[at + 1 :]
        else:
            end = min(len(octets), at + chance.randint(1, 30))
            octets = octets[:at] + octets[at:end] * 2 + octets[end:]
    return octets


def outcome(pieces: Sequence[bytes]) -> tuple[list[Field], str]:
    """The fields that were read, the last of them perhaps in part, and the error that ended it, if one did."""
    parser = MultipartParser(BOUNDARY, LIMITS)
    fields: list[Field] = []
    has_ended = False
    try:
        for piece in [*pieces, None]:
            if piece is None:
                parser.receive_eof()
            else:
                parser.receive_data(piece)
            while (event := parser.next_event()) is not None:
                if has_ended:
                    raise RuleBrokenError("an event behind the end")
                if isinstance(event, PartHead):
                    kind = event.content_type if event.content_type.isascii() else "text/plain"
                    fields.append(Field(event.name, b"", event.file_name, kind))
                elif isinstance(event, Data):
                    fields[-1] = fields[-1]._replace(content=fields[-1].content + event.data)
                elif isinstance(event, EndOfForm):
                    has_ended = True
                elif not isinstance(event, EndOfPart):
                    raise RuleBrokenError("an event of another kind")
            if len(parser._buffer) > LIMITS.head_size + 4:
                raise RuleBrokenError("more is held back than the limits allow")
    except MultipartError as error:
        return fields, error.detail
    if not has_ended:
        raise RuleBrokenError("neither the end nor an error")
    return fields, ""


def check(octets: bytes, pieces: Sequence[bytes]) -> bool:
    """Hold one input against the rules; return whether it was refused. Raises `RuleBrokenError`, and whatever a defect raises."""
    fields, error = outcome([octets])
    if (fields, bool(error)) != ((in_pieces := outcome(pieces))[0], bool(in_pieces[1])):
        raise RuleBrokenError("the outcome depends on the segmentation")
    if not error and not any("\\" in field.name + (field.file_name or "") for field in fields):
        # A backslash is written as it is, and then read with what stands behind it.
        again = outcome([written(fields, BOUNDARY)])
        if again != (fields, ""):
            raise RuleBrokenError("a form that was read is another one when it is written again")
    return bool(error)


def fuzz(count: int, seed: int) -> int:
    """Run `count` inputs; return how many of them were refused."""
    chance = random.Random(seed)
    refused = 0
    for _ in range(count):
        octets = mutate(chance, chance.choice(FORMS))
        pieces = segments(chance, octets)
        try:
            refused += check(octets, pieces)
        except Exception:
            sys.stderr.write(f"seed {seed}: {octets!r} as {pieces!r}\n")
            raise
    return refused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="inputs to try")
    parser.add_argument("--seed", type=int, default=1, help="where the inputs begin")
    arguments = parser.parse_args()
    refused = fuzz(arguments.count, arguments.seed)
    sys.stdout.write(f"{arguments.count} inputs, {refused} refused, no rule broken\n")


if __name__ == "__main__":
    main()
