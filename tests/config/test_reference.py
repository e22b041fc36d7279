"""What is written about the settings: complete, and as fresh as the settings themselves."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from netlodge.config import reference
from netlodge.config.build import SettingsBuilder
from netlodge.config.errors import KeyPath
from netlodge.config.loading import Sources, load
from netlodge.config.schema import Entry, entries, is_list, to_toml
from netlodge.config.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = list(entries(Settings))
LEAVES = [entry for entry in ENTRIES if entry.table is None]


def nowhere(path: KeyPath) -> tuple[str, int]:
    return "", 0


def key_of(entry: Entry) -> str:
    return entry.key


@pytest.mark.parametrize("entry", LEAVES, ids=key_of)
def test_every_key_is_documented_in_whole_sentences(entry: Entry) -> None:
    assert entry.hint.description.endswith("."), "a description is sentences"
    assert not entry.hint.precedent or entry.hint.precedent.endswith(".")
    assert len(entry.hint.description.partition(". ")[0]) <= 120, "the first sentence is the starter file's one-liner"


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.table is not None], ids=key_of)
def test_every_table_is_introduced(entry: Entry) -> None:
    assert entry.table is not None
    assert (entry.table.__doc__ or "").endswith(".")


@pytest.mark.parametrize("entry", [entry for entry in LEAVES if "[]" not in entry.key], ids=key_of)
def test_every_default_is_valid_and_reads_back_as_itself(entry: Entry, tmp_path: Path) -> None:
    builder = SettingsBuilder(tmp_path, nowhere)
    settings: object = builder.build(tomllib.loads(f"{entry.key} = {to_toml(entry.default)}"))
    assert builder.problems == []
    assert settings == SettingsBuilder(tmp_path, nowhere).build({})


@pytest.mark.parametrize("entry", [entry for entry in LEAVES if entry.hint.example], ids=key_of)
def test_every_example_is_toml(entry: Entry) -> None:
    assert "example" in tomllib.loads(f"example = {entry.hint.example}")


@pytest.mark.parametrize("entry", [entry for entry in LEAVES if entry.key.startswith("limits.")], ids=key_of)
def test_every_limit_names_its_precedent_and_its_bounds(entry: Entry) -> None:
    assert entry.hint.precedent
    assert entry.hint.least is not None
    assert entry.hint.most is not None


def test_settings_are_frozen() -> None:
    settings = Settings()
    with pytest.raises(AttributeError):
        settings.workers = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        settings.limits.ranges = 3  # type: ignore[misc]
    assert msgspec.structs.replace(settings, workers=3).workers == 3


def test_a_silent_lodge_listens_on_loopback_alone() -> None:
    settings = Settings()
    for entry in LEAVES:
        if is_list(entry.hint.kind) and entry.hint.element.kind.__name__ == "Address":
            assert isinstance(entry.default, tuple)
            assert {address.host for address in entry.default} <= {"127.0.0.1", "::1"}, entry.key
    assert settings.web.listen


def test_the_page_of_settings_is_fresh() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    assert page == reference.markdown(), "run: netlodge settings --markdown > docs/settings.md"


def test_the_page_has_every_key() -> None:
    headings = re.findall(r"^### `(.+)`$", reference.markdown(), re.MULTILINE)
    assert sorted(headings) == sorted(entry.key for entry in LEAVES)


class TestStarterFile:
    def test_says_nothing_but_where_the_data_is(self) -> None:
        tables = {entry.name for entry in ENTRIES if entry.table is not None and len(entry.path) == 1}
        assert tomllib.loads(reference.starter_toml()) == {"data": "."} | {name: {} for name in tables}

    def test_is_the_default_lodge(self, tmp_path: Path) -> None:
        without = load(Sources(directory=tmp_path)).settings
        (tmp_path / "lodge").mkdir()
        (tmp_path / "lodge/netlodge.toml").write_text(reference.starter_toml())
        loaded = load(Sources(directory=tmp_path))
        assert loaded.source == tmp_path / "lodge/netlodge.toml"
        assert loaded.settings == without

    def test_may_have_every_comment_taken_off(self, tmp_path: Path) -> None:
        (tmp_path / "www").mkdir()
        (tmp_path / "www/404.html").touch()
        text = re.sub(r"^#(?=[^ \n#])", "", reference.starter_toml(), flags=re.MULTILINE)
        (tmp_path / "netlodge.toml").write_text(text)
        loaded = load(Sources(directory=tmp_path)).settings
        defaults = SettingsBuilder(tmp_path, nowhere).build({"data": "."})
        assert len(loaded.web.site) == 1
        assert msgspec.structs.replace(loaded, web=defaults.web) == defaults
        assert msgspec.structs.replace(loaded.web, site=()) == defaults.web

    def test_has_every_key(self) -> None:
        text = reference.starter_toml()
        for entry in LEAVES:
            assert re.search(rf"^#? *{entry.name} = ", text, re.MULTILINE), entry.key

    def test_is_as_wide_as_a_terminal_may_be(self) -> None:
        assert max(map(len, reference.starter_toml().splitlines())) <= 120


class TestFind:
    def test_a_key(self) -> None:
        assert [entry.key for entry in reference.find("limits.ranges")] == ["limits.ranges"]

    def test_a_table_with_its_keys(self) -> None:
        assert [entry.key for entry in reference.find("drain")] == ["drain", "drain.timeout", "drain.stop_timeout"]

    @pytest.mark.parametrize("key", ["web.site.routes.path", "web.site[].routes[].path"])
    def test_with_and_without_the_marks_of_lists(self, key: str) -> None:
        assert [entry.key for entry in reference.find(key)] == ["web.site[].routes[].path"]

    def test_nothing_for_what_is_no_key(self) -> None:
        assert reference.find("limits.rang") == []


def test_a_key_is_explained_in_text() -> None:
    (entry,) = reference.find("limits.drain_body")
    assert reference.text(entry) == (
        'limits.drain_body = "256 KiB"\n'
        "    a size from 0 B to 1 GiB\n"
        "    How much of a request body that nobody read is read and thrown away, so that the connection\n"
        "    can go on. If more is left, the connection is closed after the answer.\n"
        "    Precedent: Go net/http 256 KiB."
    )
