"""`netlodge up`: what its options load, what it makes on first start, and what it hands to the application."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from netlodge.cli import data_folder
from netlodge.cli.main import main
from netlodge.config.address import Address
from netlodge.config.errors import SettingsError
from netlodge.config.loading import Loaded, Sources, load


class App:
    """Stands in for `netlodge.app.lodge`: keeps what it was handed, and ends at once."""

    def __init__(self) -> None:
        self.exit_code = 0
        self.loaded: list[Loaded] = []
        self.reload: Callable[[], Loaded] | None = None

    def run(self, loaded: Loaded, *, reload: Callable[[], Loaded]) -> int:
        self.loaded.append(loaded)
        self.reload = reload
        return self.exit_code


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> App:
    stand_in = App()
    module = ModuleType("netlodge.app.lodge")
    module.run = stand_in.run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "netlodge.app.lodge", module)
    monkeypatch.chdir(tmp_path)
    return stand_in


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["up", *arguments])


class TestFirstStart:
    def test_it_makes_a_lodge(self, app: App, tmp_path: Path) -> None:
        result = run()
        assert result.exit_code == 0, result.output
        assert result.stdout == f"Made {tmp_path}/lodge: log, run, ca, netlodge.toml, www.\n"
        assert sorted(path.name for path in Path("lodge").iterdir()) == ["ca", "log", "netlodge.toml", "run", "www"]
        for folder in ("lodge", "lodge/ca", "lodge/log", "lodge/run"):
            assert Path(folder).stat().st_mode & 0o777 == 0o700
        (loaded,) = app.loaded
        assert loaded.label == "lodge/netlodge.toml"
        assert loaded.settings.web.site[0].error_pages == {404: tmp_path / "lodge/www/404.html"}

    def test_the_second_makes_nothing(self, app: App) -> None:
        run()
        Path("lodge/www/index.html").write_text("mine")
        result = run()
        assert result.stdout == ""
        assert Path("lodge/www/index.html").read_text() == "mine"
        assert app.loaded[0] == app.loaded[1]

    def test_beside_a_settings_file_it_writes_no_second_one(self, app: App) -> None:
        Path("netlodge.toml").write_text("workers = 2")
        run()
        assert sorted(path.name for path in Path("lodge").iterdir()) == ["ca", "log", "run", "www"]
        assert app.loaded[0].label == "netlodge.toml"

    def test_with_sites_of_its_own_it_needs_no_starter_site(self, app: App) -> None:
        Path("netlodge.toml").write_text('[[web.site]]\nroutes = [{ path = "/", respond = "a" }]')
        run()
        assert not Path("lodge/www").exists()

    def test_a_mistake_makes_nothing_and_starts_nothing(self, app: App) -> None:
        result = run("--set", "workers=0")
        assert result.exit_code == 2
        assert result.stderr == '--set: workers = 0: must be "auto" or a whole number from 1 to 256.\n'
        assert app.loaded == []
        assert list(Path().iterdir()) == []

    def test_a_disk_that_refuses_is_one_sentence(self, app: App, tmp_path: Path) -> None:
        Path("file").touch()
        result = run("--data", "file/lodge")
        assert result.exit_code == 2
        assert result.stderr == f'data = "{tmp_path}/file/lodge": cannot be written to: not a directory.\n'

    def test_root_gives_the_lodge_to_the_user_that_the_workers_become(
        self, app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: list[tuple[str, int, int]] = []

        def chown(path: Path, uid: int, gid: int, *, follow_symlinks: bool) -> None:
            given.append((os.path.relpath(path, tmp_path), uid, gid))

        account = next(each for each in pwd.getpwall() if each.pw_uid != 0)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "chown", chown)
        run("--set", f"user={account.pw_name}")
        assert {(uid, gid) for _, uid, gid in given} == {(account.pw_uid, account.pw_gid)}
        assert {"lodge", "lodge/log", "lodge/netlodge.toml", "lodge/www/style.css"} <= {path for path, _, _ in given}


class TestOptions:
    def test_reach_the_application(self, app: App, tmp_path: Path) -> None:
        Path("public").mkdir()
        options = ["--files", "public", "--only", "web,lines", "--workers", "2", "--data", "house"]
        assert run(*options, "--set", "web.listen=127.0.0.1:1", "--set", "log.access=-").exit_code == 0
        (loaded,) = app.loaded
        assert loaded.doors == ("web", "lines")
        assert loaded.settings.workers == 2
        assert loaded.settings.data == tmp_path / "house"
        assert loaded.settings.web.site[0].routes[0].files == tmp_path / "public"
        assert loaded.settings.web.listen == (Address("127.0.0.1", 1),)
        assert loaded.settings.access_log == "-"

    def test_only_may_be_given_again(self, app: App) -> None:
        run("--only", "web", "--only", "dashboard, lines")
        assert app.loaded[0].doors == ("web", "lines", "dashboard")

    def test_config_names_the_file(self, app: App) -> None:
        Path("mine.toml").write_text("workers = 7")
        run("--config", "mine.toml")
        assert app.loaded[0].settings.workers == 7

    def test_serving_the_working_directory_hides_the_lodge(self, app: App, tmp_path: Path) -> None:
        result = run("--files", ".")
        assert (result.exit_code, result.stderr) == (0, "")
        assert [path.name for path in tmp_path.iterdir()] == [".lodge"]
        assert app.loaded[0].label == ".lodge/netlodge.toml"
        assert app.loaded[0].settings.data == tmp_path / ".lodge"

    def test_a_warning_does_not_keep_the_doors_shut(self, app: App, tmp_path: Path) -> None:
        Path("netlodge.toml").write_text(f'data = "{tmp_path}/../{tmp_path.name}-lodge"')
        result = run("--files", ".")
        assert result.stderr.startswith("Warning: netlodge.toml lies in ")
        assert len(app.loaded) == 1

    def test_the_exit_code_is_the_applications(self, app: App) -> None:
        app.exit_code = 1
        assert run().exit_code == 1


def test_a_reload_reads_the_same_sources_again(app: App) -> None:
    run("--set", "log.level=debug")
    assert app.reload is not None
    assert app.reload() == app.loaded[0]
    path = Path("lodge/netlodge.toml")
    path.write_text(path.read_text().replace('#workers = "auto"', "workers = 3"))
    again = app.reload().settings
    assert (again.workers, again.log.level) == (3, "debug")
    path.write_text("workers = 'many'")
    with pytest.raises(SettingsError, match=r"^lodge/netlodge\.toml:1: workers"):
        app.reload()


def test_a_reload_counts_paths_from_where_the_lodge_was_started(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    assert app.reload is not None
    monkeypatch.chdir("/")
    assert app.reload() == app.loaded[0]


def test_preparing_a_lodge_that_is_whole_makes_nothing(tmp_path: Path) -> None:
    sources = Sources(directory=tmp_path)
    assert data_folder.prepare(load(sources)) != []
    assert data_folder.prepare(load(sources)) == []
