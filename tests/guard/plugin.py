"""The pytest side of the guard: a test during which anything tried to leave the machine fails, whatever it did with the error.

Violations of this process and of its Python children arrive through one report file, which is looked at after each of a
test's phases. A child that outlives its test is charged to a later one, or to the session: never to nobody.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.guard import loopback

HERE = Path(__file__).parent
REPORT = pytest.StashKey[Path]()


class LeftTheMachine(Exception):  # noqa: N818  (read as the heading of a failure)
    """Something during the test spoke, or tried to speak, to something that is not this machine."""


def pytest_configure(config: pytest.Config) -> None:
    descriptor, name = tempfile.mkstemp(prefix="netlodge-guard-")
    os.fchmod(descriptor, 0o666)  # a child may have become another user
    os.close(descriptor)
    config.stash[REPORT] = Path(name)
    os.environ[loopback.REPORT_VARIABLE] = name
    inherited = os.environ.get("PYTHONPATH")
    if str(HERE) not in (inherited or "").split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *([inherited] if inherited else [])])
    loopback.install()


def _violations(config: pytest.Config) -> str:
    report = config.stash[REPORT]
    found = report.read_text(errors="replace")
    if found:
        os.truncate(report, 0)
    return found.strip()


def _judge(item: pytest.Item) -> None:
    if found := _violations(item.config):
        raise LeftTheMachine(found)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    try:
        yield
    finally:
        _judge(item)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    try:
        yield
    finally:
        _judge(item)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    try:
        yield
    finally:
        _judge(item)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    yield
    if found := _violations(session.config):
        print(f"\nAfter the last test:\n{found}")  # noqa: T201
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[REPORT].unlink(missing_ok=True)
