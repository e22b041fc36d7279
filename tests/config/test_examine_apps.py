"""Applications in the settings: how they are named, what `--app` makes of it, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from netlodge.config.errors import SettingsError
from netlodge.config.examine_apps import AppName, complaint_about_app
from netlodge.config.loading import Sources, load
from netlodge.config.settings import Route

AT = "netlodge.toml:2: web.site[0].routes[0]"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("shop:app", ("shop", "app", False)),
        ("shop.main:things.app", ("shop.main", "things.app", False)),
        ("shop:make()", ("shop", "make", True)),
        ("café:größe", ("café", "größe", False)),
        ("shop", None),
        ("shop:", None),
        (":app", None),
        ("shop:app()()", None),
        ("shop:make(1)", None),
        ("shop..main:app", None),
        ("shop main:app", None),
        ("1shop:app", None),
        ("shop/main:app", None),
        ("", None),
    ],
)
def test_the_name_of_an_application(text: str, name: tuple[str, str, bool] | None) -> None:
    assert AppName.parse(text) == name
    assert bool(complaint_about_app(text)) is (name is None)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('app = "shop.main:app"', ""),
        ('app = "shop:make()", interface = "wsgi"', ""),
        ('app = "shop"', '.app = "shop": must be module:name; did you mean "shop:app"?'),
        ('app = "./shop/main.py"', '.app = "./shop/main.py": must be module:name; did you mean "shop.main:app"?'),
        ('app = "shop.py:main"', '.app = "shop.py:main": must be module:name; did you mean "shop:main"?'),
        ('app = "a b"', '.app = "a b": must be module:name, such as "shop.main:app".'),
        ('respond = "x", interface = "asgi"', '.interface = "asgi": has no meaning without app.'),
        ('app = "shop:app", status = 200', ".status = 200: has no meaning with app."),
        ('app = "shop:app", index = ["a"]', '.index = ["a"]: has no meaning without files.'),
    ],
)
def test_a_route(tmp_path: Path, keys: str, said: str) -> None:
    (tmp_path / "netlodge.toml").write_text(f'[[web.site]]\nroutes = [{{ path = "/", {keys} }}]\n')
    try:
        load(Sources(directory=tmp_path))
        sentences = []
    except SettingsError as error:
        sentences = str(error).split("\n")
    assert sentences == ([AT + said] if said else [])


@pytest.mark.parametrize(("folder", "exists"), [("src", True), ("scr", False)])
def test_the_folder_of_the_modules(tmp_path: Path, folder: str, exists: bool) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "netlodge.toml").write_text(
        f'[[web.site]]\nroutes = [{{ path = "/", app = "shop:app", app_folder = "{folder}" }}]\n'
    )
    if exists:
        loaded = load(Sources(directory=tmp_path))
        assert loaded.settings.web.site[0].routes[0].app_folder == tmp_path / "src"
    else:
        with pytest.raises(SettingsError, match=r"app_folder = .*there is no such folder"):
            load(Sources(directory=tmp_path))


def test_without_an_application_its_folder_has_no_meaning(tmp_path: Path) -> None:
    (tmp_path / "netlodge.toml").write_text(
        '[[web.site]]\nroutes = [{ path = "/", respond = "x", app_folder = "." }]\n'
    )
    with pytest.raises(SettingsError, match="has no meaning without app"):
        load(Sources(directory=tmp_path))


# --- The quick form ---------------------------------------------------------------------------------------------------------------


def test_the_quick_form_is_one_site_with_modules_from_here(tmp_path: Path) -> None:
    lodge = tmp_path / "lodge"
    lodge.mkdir()
    (lodge / "netlodge.toml").write_text('workers = 2\n[[web.site]]\nroutes = [{ path = "/", respond = "other" }]\n')
    loaded = load(Sources(directory=tmp_path, app="shop.main:app"))
    (site,) = loaded.settings.web.site
    assert site.routes == (Route(path="/", app="shop.main:app", app_folder=tmp_path),)
    assert loaded.settings.workers == 2, "the rest of the settings is as in the file"


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (Sources(app="shop"), '--app: shop: must be module:name; did you mean "shop:app"?'),
        (Sources(app="shop:app", files=Path()), "--app: shop:app: cannot go with --files: both are the only site."),
    ],
)
def test_a_quick_form_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: Sources, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as wrong:
        load(Sources(app=sources.app, files=sources.files, directory=tmp_path))
    assert said in str(wrong.value).split("\n")
