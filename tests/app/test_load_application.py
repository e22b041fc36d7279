"""Applications by name: what is found, and the sentence for each way in which it is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlodge.app.load_application import load_application
from netlodge.core.errors import NetlodgeError


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for modules; afterwards the process is as it was."""
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, **modules: str) -> None:
    for name, source in modules.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)


def test_a_name_leads_to_an_object_in_the_folder(folder: Path) -> None:
    write(folder, lodge_shop="class things: app = 'the app'\n")
    assert load_application("lodge_shop:things.app", folder) == "the app"
    assert load_application("lodge_shop:things.app", folder) == "the app"
    assert sys.path.count(str(folder)) == 1


def test_a_module_in_a_package(folder: Path) -> None:
    write(folder, lodge_pack____init__="", lodge_pack__main="app = 'packed'\n")
    assert load_application("lodge_pack.main:app", folder) == "packed"


def test_the_folder_goes_before_what_is_installed(folder: Path) -> None:
    write(folder, colorsys="app = 'mine'\n")
    sys.modules.pop("colorsys", None)
    assert load_application("colorsys:app", folder) == "mine"


def test_a_factory_is_called(folder: Path) -> None:
    write(folder, lodge_make="def make(): return 'made'\n")
    assert load_application("lodge_make:make()", folder) == "made"


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("lodge_shop", "", 'app = "lodge_shop": it must be module:name; did you mean "lodge_shop:app"?'),
        (
            "lodge_shap:app",
            "",
            "there is no module 'lodge_shap' in {folder} or in what is installed; did you mean \"lodge_shop\"?",
        ),
        ("zzz.yyy:app", "", "there is no module 'zzz' in {folder} or in what is installed."),
        ("lodge_shop.main:app", "", "there is no module 'lodge_shop.main' in {folder} or in what is installed."),
        ("lodge_shop:ap", "app = 1", "lodge_shop has no 'ap'; did you mean \"app\"?"),
        ("lodge_shop:app.inner", "app = 1", "lodge_shop.app has no 'inner'."),
        (
            "lodge_shop:app",
            "import os\nimport zzz_missing",
            "importing lodge_shop raised ModuleNotFoundError: No module named 'zzz_missing' ({file}, line 2)",
        ),
        (
            "lodge_shop:app",
            "def f():\n  raise KeyError('x')\nf()",
            "importing lodge_shop raised KeyError: 'x' ({file}, line 2)",
        ),
        (
            "lodge_shop:app",
            "x = (",
            "importing lodge_shop raised SyntaxError: '(' was never closed ({file}, line 1)",
        ),
        ("lodge_shop:app", "raise SystemExit", "importing lodge_shop raised SystemExit ({file}, line 1)"),
        (
            "lodge_shop:make()",
            "def make():\n  return 1 / 0",
            "calling make() raised ZeroDivisionError: division by zero ({file}, line 2)",
        ),
        ("lodge_shop:make()", "make = 1", "calling make() raised TypeError: 'int' object is not callable"),
    ],
)
def test_what_is_wrong_is_one_sentence(folder: Path, name: str, source: str, said: str) -> None:
    write(folder, lodge_shop=source)
    with pytest.raises(NetlodgeError) as failed:
        load_application(name, folder)
    sentence = str(failed.value)
    assert sentence.startswith(f'app = "{name}": ')
    assert said.format(folder=folder, file=folder / "lodge_shop.py") in sentence
    assert "\n" not in sentence
