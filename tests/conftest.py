"""What holds for every test: nothing leaves this machine. And what many ask for: a PostgreSQL."""

from __future__ import annotations

from tests.guard.plugin import (
    pytest_configure,
    pytest_runtest_call,
    pytest_runtest_setup,
    pytest_runtest_teardown,
    pytest_sessionfinish,
    pytest_unconfigure,
)
from tests.store.postgresql import postgresql

__all__ = [
    "postgresql",
    "pytest_configure",
    "pytest_runtest_call",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "pytest_sessionfinish",
    "pytest_unconfigure",
]
