"""A strict checker of HAR 1.2, written from its specification ("HTTP Archive v1.2", Jan Odvarko): every object's fields, which are optional,
their types, and the sentences about their values. Fields that begin with `_` are anyone's."""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import datetime
from typing import Any

_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")

Number = (int, float)

# Of each field: its type, and whether it must be there.
LOG = {
    "version": (str, True),
    "creator": (dict, True),
    "browser": (dict, False),
    "pages": (list, False),
    "entries": (list, True),
    "comment": (str, False),
}
CREATOR = {"name": (str, True), "version": (str, True), "comment": (str, False)}
ENTRY = {
    "pageref": (str, False),
    "startedDateTime": (str, True),
    "time": (Number, True),
    "request": (dict, True),
    "response": (dict, True),
    "cache": (dict, True),
    "timings": (dict, True),
    "serverIPAddress": (str, False),
    "connection": (str, False),
    "comment": (str, False),
}
REQUEST = {
    "method": (str, True),
    "url": (str, True),
    "httpVersion": (str, True),
    "cookies": (list, True),
    "headers": (list, True),
    "queryString": (list, True),
    "postData": (dict, False),
    "headersSize": (int, True),
    "bodySize": (int, True),
    "comment": (str, False),
}
RESPONSE = {
    "status": (int, True),
    "statusText": (str, True),
    "httpVersion": (str, True),
    "cookies": (list, True),
    "headers": (list, True),
    "content": (dict, True),
    "redirectURL": (str, True),
    "headersSize": (int, True),
    "bodySize": (int, True),
    "comment": (str, False),
}
COOKIE = {
    "name": (str, True),
    "value": (str, True),
    "path": (str, False),
    "domain": (str, False),
    "expires": (str, False),
    "httpOnly": (bool, False),
    "secure": (bool, False),
    "comment": (str, False),
}
PAIR = {"name": (str, True), "value": (str, True), "comment": (str, False)}
POST_DATA = {"mimeType": (str, True), "params": (list, False), "text": (str, False), "comment": (str, False)}
PARAM = {
    "name": (str, True),
    "value": (str, False),
    "fileName": (str, False),
    "contentType": (str, False),
    "comment": (str, False),
}
CONTENT = {
    "size": (int, True),
    "compression": (int, False),
    "mimeType": (str, True),
    "text": (str, False),
    "encoding": (str, False),
    "comment": (str, False),
}
CACHE = {"beforeRequest": (dict, False), "afterRequest": (dict, False), "comment": (str, False)}
TIMINGS = {
    "blocked": (Number, False),
    "dns": (Number, False),
    "connect": (Number, False),
    "send": (Number, True),
    "wait": (Number, True),
    "receive": (Number, True),
    "ssl": (Number, False),
    "comment": (str, False),
}


def check(archive: Any) -> None:
    """Fail with a sentence at the first thing that HAR 1.2 does not allow."""
    assert set(archive) == {"log"}
    log = archive["log"]
    _shape(log, LOG)
    assert log["version"] == "1.2"
    _shape(log["creator"], CREATOR)
    started = [_check_entry(entry) for entry in log["entries"]]
    # The specification prefers entries sorted by their start, oldest first.
    assert started == sorted(started)


def _check_entry(entry: Any) -> datetime:
    _shape(entry, ENTRY)
    _check_request(entry["request"])
    _check_response(entry["response"])
    _shape(entry["cache"], CACHE)
    _shape(entry["timings"], TIMINGS)
    timings = entry["timings"]
    for name in ("send", "wait", "receive"):
        assert timings[name] >= 0, f"{name} must be non-negative"
    # The specification: `time` is the sum of all timings that are available, so without those that are -1.
    parts = [value for name, value in timings.items() if name != "ssl" and value != -1]
    assert all(part >= 0 for part in parts)
    assert abs(sum(parts) - entry["time"]) < 0.001
    return _moment(entry["startedDateTime"])


def _check_request(request: Any) -> None:
    _shape(request, REQUEST)
    assert request["method"]
    if request["method"] != "CONNECT":
        assert _SCHEME.match(request["url"]), "Absolute URL of the request"
    _pairs(request["headers"], PAIR)
    _pairs(request["queryString"], PAIR)
    _check_cookies(request["cookies"])
    _sizes(request)
    if "postData" in request:
        _shape(request["postData"], POST_DATA)
        assert ("text" in request["postData"]) != ("params" in request["postData"]), "mutually exclusive"
        _pairs(request["postData"].get("params", []), PARAM)


def _check_response(response: Any) -> None:
    _shape(response, RESPONSE)
    _pairs(response["headers"], PAIR)
    _check_cookies(response["cookies"])
    _sizes(response)
    content = response["content"]
    _shape(content, CONTENT)
    if "encoding" in content:
        assert content["encoding"] == "base64"
        b64decode(content["text"], validate=True)
    if "compression" in content:
        assert content["size"] - content["compression"] == response["bodySize"]


def _check_cookies(cookies: Any) -> None:
    _pairs(cookies, COOKIE)
    for cookie in cookies:
        if "expires" in cookie:
            _moment(cookie["expires"])


def _sizes(message: Any) -> None:
    for name in ("headersSize", "bodySize"):
        assert message[name] >= -1


def _pairs(values: Any, shape: dict[str, tuple[Any, bool]]) -> None:
    for value in values:
        _shape(value, shape)


def _moment(text: str) -> datetime:
    assert _ISO.fullmatch(text), f"{text} is not ISO 8601 with fraction and zone"
    return datetime.fromisoformat(text)


def _shape(value: Any, shape: dict[str, tuple[Any, bool]]) -> None:
    assert isinstance(value, dict)
    for name, (kind, is_required) in shape.items():
        assert name in value or not is_required, f"{name} is missing"
        if name in value:
            assert isinstance(value[name], kind), f"{name} is {type(value[name])}"
            assert kind is bool or not isinstance(value[name], bool)
    assert all(name in shape or name.startswith("_") for name in value), f"unknown: {set(value) - set(shape)}"
