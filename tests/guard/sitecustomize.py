"""Run by every Python that a test starts, because `tests/guard` stands in its `PYTHONPATH`: children keep to loopback too."""

from loopback import install

install()
