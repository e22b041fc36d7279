"""`netlodge init`: what it writes, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from netlodge.cli.main import main
from netlodge.config.loading import Sources, load


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["init", *arguments])


def test_it_writes_a_lodge_that_up_would_find() -> None:
    result = run()
    assert result.exit_code == 0
    assert result.stdout == "Wrote lodge/netlodge.toml and lodge/www.\nStart it: netlodge up\n"
    loaded = load(Sources())
    assert loaded.label == "lodge/netlodge.toml"
    assert loaded.settings.web.site[0].routes[0].files == Path.cwd() / "lodge/www"
    assert loaded.settings.web.site[0].error_pages == {404: Path.cwd() / "lodge/www/404.html"}


def test_the_lodge_is_its_owners_alone() -> None:
    run()
    assert Path("lodge").stat().st_mode & 0o777 == 0o700


def test_it_writes_elsewhere_and_says_how_to_start_that() -> None:
    result = run("var/house")
    assert result.stdout.endswith("Start it: netlodge up --data var/house\n")
    assert load(Sources(data=Path("var/house"))).label == "var/house/netlodge.toml"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("netlodge.toml", "lodge/netlodge.toml is there already"), ("www", "lodge/www is there already")],
)
def test_it_writes_over_nothing(name: str, sentence: str) -> None:
    Path("lodge").mkdir()
    Path("lodge", name).write_text("mine")
    result = run()
    assert result.exit_code == 2
    assert f"{sentence}; --force writes over." in result.stderr
    assert [path.name for path in Path("lodge").iterdir()] == [name]
    assert Path("lodge", name).read_text() == "mine"


def test_force_writes_over_what_it_knows_and_leaves_the_rest() -> None:
    run()
    Path("lodge/www/index.html").write_text("mine")
    Path("lodge/www/mine.html").write_text("mine")
    assert run("--force").exit_code == 0
    assert Path("lodge/www/index.html").read_text() != "mine"
    assert Path("lodge/www/mine.html").read_text() == "mine"


def test_a_disk_that_refuses_is_one_sentence() -> None:
    Path("file").touch()
    result = run("file/lodge")
    assert result.exit_code == 2
    assert result.stderr == '"file/lodge": cannot be written to: not a directory.\n'


def test_the_starter_site_needs_nothing_from_elsewhere() -> None:
    run()
    site = Path("lodge/www")
    for page in site.glob("*.html"):
        text = page.read_text()
        assert "<script" not in text
        for mark in ('src="', 'href="'):
            for link in [part.partition('"')[0] for part in text.split(mark)[1:]]:
                is_own = link in {"/", "/shop/"} or (site / link.removeprefix("/")).is_file()
                assert is_own or link == "http://127.0.0.1:8000/", f"{page.name}: {link}"
    assert "url(" not in (site / "style.css").read_text()
    assert "@import" not in (site / "style.css").read_text()


def test_the_recipes_of_the_starter_site_are_valid(tmp_path: Path) -> None:
    """Every settings example on the page, as a file."""
    run()
    page = Path("lodge/www/recipes.html").read_text()
    recipes = [part.partition("</code></pre>")[0] for part in page.split("<pre><code>")[1:]]
    recipes = [recipe for recipe in recipes if recipe.startswith("[")]
    assert len(recipes) >= 5
    for folder in ("docs", "app/dist", "www"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "app/dist/index.html").touch()
    (tmp_path / "www/404.html").touch()
    for recipe in recipes:
        (tmp_path / "recipe.toml").write_text(recipe)
        assert load(Sources(config=Path("recipe.toml"))).doors
