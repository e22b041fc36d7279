"""Where settings come from, in which order, and what they are in the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from netlodge.config.address import Address
from netlodge.config.errors import SettingsError
from netlodge.config.loading import Loaded, Sources, load
from netlodge.config.settings import Route, Settings, Site

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below the working directory of the test."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    loaded = load(Sources(directory=tmp_path))
    defaults = Settings(data=tmp_path / "lodge")
    shop = Route(path="/shop/", app="netlodge.starter.shop:shop", sessions=True)
    site = Site(routes=(Route(path="/", files=tmp_path / "lodge/www"), shop))
    expected = msgspec.structs.replace(defaults, web=msgspec.structs.replace(defaults.web, site=(site,)))
    assert loaded == Loaded(
        settings=expected, source=None, label="", base=tmp_path, doors=("web", "lines", "dashboard")
    )


def test_an_empty_file_is_the_default_lodge(tmp_path: Path, write: Write) -> None:
    without = load(Sources(directory=tmp_path))
    write("netlodge.toml", "")
    assert load(Sources(directory=tmp_path)).settings == without.settings


class TestWhichFile:
    def test_the_one_that_is_named(self, tmp_path: Path, write: Write) -> None:
        write("netlodge.toml", "workers = 1")
        named = write("other/mine.toml", "workers = 2")
        loaded = load(Sources(directory=tmp_path, config=Path("other/mine.toml")))
        assert (loaded.source, loaded.label, loaded.settings.workers) == (named, "other/mine.toml", 2)

    def test_then_the_one_in_the_working_directory(self, tmp_path: Path, write: Write) -> None:
        here = write("netlodge.toml", "workers = 1")
        write("lodge/netlodge.toml", "workers = 2")
        assert load(Sources(directory=tmp_path)).source == here

    def test_then_the_one_in_the_data_folder(self, tmp_path: Path, write: Write) -> None:
        inside = write("lodge/netlodge.toml", 'data = "."')
        loaded = load(Sources(directory=tmp_path))
        assert (loaded.source, loaded.base) == (inside, tmp_path / "lodge")
        assert loaded.settings.data == tmp_path / "lodge"

    def test_the_data_folder_may_be_elsewhere(self, tmp_path: Path, write: Write) -> None:
        inside = write("house/netlodge.toml", 'data = "."')
        write("lodge/netlodge.toml", "")
        loaded = load(Sources(directory=tmp_path, data=Path("house")))
        assert (loaded.source, loaded.settings.data) == (inside, tmp_path / "house")

    def test_one_elsewhere_is_called_by_its_whole_path(self, tmp_path: Path, write: Write) -> None:
        (tmp_path / "here").mkdir()
        path = write("there.toml", "")
        assert load(Sources(directory=tmp_path / "here", config=path)).label == str(path)


class TestRelativePaths:
    def test_are_counted_from_the_folder_of_the_file(self, tmp_path: Path, write: Write) -> None:
        (tmp_path / "etc/site").mkdir(parents=True)
        write("etc/site/404.html", "")
        write(
            "etc/netlodge.toml",
            """
            data = "../var"
            log.access = "a.log"
            web.listen = ["unix:web.sock"]
            [[web.site]]
            routes = [{ path = "/", files = "site" }]
            error_pages = { 404 = "site/404.html" }
            """,
        )
        settings = load(Sources(directory=tmp_path, config=Path("etc/netlodge.toml"))).settings
        assert settings.data == tmp_path / "var"
        assert settings.access_log == tmp_path / "etc/a.log"
        assert settings.web.listen == (Address("", 0, str(tmp_path / "etc/web.sock")),)
        assert settings.web.site[0].routes[0].files == tmp_path / "etc/site"
        assert settings.web.site[0].error_pages == {404: tmp_path / "etc/site/404.html"}

    def test_of_options_are_counted_from_the_working_directory(self, tmp_path: Path, write: Write) -> None:
        write("etc/netlodge.toml", "")
        (tmp_path / "site").mkdir()
        sources = Sources(directory=tmp_path, config=Path("etc/netlodge.toml"), data=Path("var"), files=Path("site"))
        settings = load(sources).settings
        assert settings.data == tmp_path / "var"
        assert settings.web.site[0].routes[0].files == tmp_path / "site"


class TestSet:
    def test_overrides_the_file_and_the_options(self, tmp_path: Path, write: Write) -> None:
        write("netlodge.toml", "workers = 2\n[log]\nlevel = 'debug'")
        sources = Sources(directory=tmp_path, workers=3, overrides=("workers=4", "log.format=json"))
        settings = load(sources).settings
        assert (settings.workers, settings.log.format, settings.log.level) == (4, "json", "debug")

    @pytest.mark.parametrize(
        ("override", "value"),
        [
            ("limits.head_timeout=5s", 5.0),
            ('limits.head_timeout="5 s"', 5.0),
            ("limits.head_timeout=5", 5.0),
            ("limits.head_timeout = 5 s", 5.0),
        ],
    )
    def test_takes_toml_or_a_bare_string(self, tmp_path: Path, override: str, value: float) -> None:
        assert load(Sources(directory=tmp_path, overrides=(override,))).settings.limits.head_timeout == value

    @pytest.mark.parametrize(
        ("override", "addresses"),
        [
            ("web.listen=127.0.0.1:1", (Address("127.0.0.1", 1),)),
            ("web.listen=127.0.0.1:1,[::1]:1", (Address("127.0.0.1", 1), Address("::1", 1))),
            ('web.listen=["127.0.0.1:1"]', (Address("127.0.0.1", 1),)),
            ("web.listen=", ()),
        ],
    )
    def test_takes_a_list_between_commas(self, tmp_path: Path, override: str, addresses: tuple[Address, ...]) -> None:
        assert load(Sources(directory=tmp_path, overrides=(override,))).settings.web.listen == addresses

    def test_takes_one_key_at_a_time(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="must be"):
            load(Sources(directory=tmp_path, overrides=("workers=1\nuser='x'",)))

    @pytest.mark.parametrize("override", ["workers", "=3", "a b=3", "workers\n=3", ""])
    def test_needs_a_key_and_a_value(self, tmp_path: Path, override: str) -> None:
        with pytest.raises(SettingsError, match=r"must be KEY=VALUE, such as limits\.head_timeout=5s"):
            load(Sources(directory=tmp_path, overrides=(override,)))


class TestFiles:
    def test_is_the_only_site(self, tmp_path: Path, write: Write) -> None:
        write("netlodge.toml", '[[web.site]]\nhosts = ["a.example"]\nroutes = [{ path = "/", respond = "a" }]')
        write("public/index.html", "")
        settings = load(Sources(directory=tmp_path, files=Path("public"))).settings
        assert settings.web.site == (Site(routes=(Route(path="/", files=tmp_path / "public"),)),)

    def test_has_its_own_page_for_what_is_missing(self, tmp_path: Path, write: Write) -> None:
        page = write("public/404.html", "")
        settings = load(Sources(directory=tmp_path, files=Path("public"))).settings
        assert settings.web.site[0].error_pages == {404: page}

    def test_of_the_working_directory_moves_the_data_out_of_sight(self, tmp_path: Path) -> None:
        assert load(Sources(directory=tmp_path, files=Path())).settings.data == tmp_path / ".lodge"

    def test_finds_the_settings_that_were_moved_out_of_sight(self, tmp_path: Path, write: Write) -> None:
        moved = write(".lodge/netlodge.toml", 'data = "."')
        assert load(Sources(directory=tmp_path, files=Path())).source == moved
        (tmp_path / "public").mkdir()
        assert load(Sources(directory=tmp_path, files=Path("public"))).source is None

    def test_never_shows_a_lodge_that_is_there(self, tmp_path: Path, write: Write) -> None:
        write("lodge/netlodge.toml", 'data = "."')
        with pytest.raises(SettingsError, match="would show the data folder"):
            load(Sources(directory=tmp_path, files=Path()))

    def test_that_is_missing_is_a_mistake(self, tmp_path: Path, write: Write) -> None:
        write("file", "")
        with pytest.raises(SettingsError, match=r"^--files: nowhere: there is no such folder\.$"):
            load(Sources(directory=tmp_path, files=Path("nowhere")))
        with pytest.raises(SettingsError, match=r"^--files: file: is no folder\.$"):
            load(Sources(directory=tmp_path, files=Path("file")))


class TestDoors:
    def test_without_an_address_stay_shut(self, tmp_path: Path) -> None:
        sources = Sources(directory=tmp_path, overrides=("dashboard.listen=[]", "lines.uppercase=[]"))
        assert load(sources).doors == ("web",)

    def test_that_are_named_open_alone_and_in_order(self, tmp_path: Path) -> None:
        assert load(Sources(directory=tmp_path, only=("lines", "web"))).doors == ("web", "lines")

    def test_that_do_not_exist_get_the_nearest_name(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError) as caught:
            load(Sources(directory=tmp_path, only=("wep", "mail")))
        assert str(caught.value).splitlines() == [
            '--only: wep: there is no such door; did you mean "web"?',
            "--only: mail: there is no such door; the doors are web, lines, dashboard.",
        ]

    def test_that_are_named_must_have_an_address(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"^--only: web: has no address to listen on in the settings\.$"):
            load(Sources(directory=tmp_path, only=("web",), overrides=("web.listen=", "web.listen_tls=")))

    def test_one_must_be_left(self, tmp_path: Path) -> None:
        shut = ("web.listen=", "web.listen_tls=", "lines.uppercase=", "dashboard.listen=")
        with pytest.raises(SettingsError, match="no door has an address"):
            load(Sources(directory=tmp_path, overrides=shut))


@pytest.mark.parametrize(("written", "place"), [("", "lodge/log/access.log"), ("off", None), ("-", "-")])
def test_the_access_log_has_its_usual_file(tmp_path: Path, written: str, place: str | None) -> None:
    settings = load(Sources(directory=tmp_path, overrides=(f"log.access={written}",))).settings
    assert settings.access_log == (tmp_path / place if place and place != "-" else place)


def test_settings_in_a_served_folder_are_worth_a_warning(tmp_path: Path, write: Write) -> None:
    write("netlodge.toml", 'data = "/nonexistent/lodge"\n[[web.site]]\nroutes = [{ path = "/", files = "." }]')
    assert load(Sources(directory=tmp_path)).warnings == (
        f"netlodge.toml lies in {tmp_path}, which is served: everyone can read the settings.",
    )


def test_loading_again_reads_what_has_changed(tmp_path: Path, write: Write) -> None:
    sources = Sources(directory=tmp_path, overrides=("log.level=debug",))
    assert load(sources).settings.workers == "auto"
    write("lodge/netlodge.toml", 'data = "."\nworkers = 2')
    again = load(sources).settings
    assert (again.workers, again.log.level, again.data) == (2, "debug", tmp_path / "lodge")
