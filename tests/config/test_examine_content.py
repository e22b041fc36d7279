"""What is said of the settings of variants and compression."""

from __future__ import annotations

from pathlib import Path

import pytest

from netlodge.config.errors import SettingsError
from netlodge.config.loading import Sources, load

AT = "netlodge.toml:2: web.site[0]"
CODING = "may only be set where no route of it compresses; add compress = false to them."


def sentences(folder: Path, text: str) -> list[str]:
    (folder / "www").mkdir(exist_ok=True)
    (folder / "netlodge.toml").write_text(text)
    try:
        load(Sources(directory=folder))
    except SettingsError as error:
        return str(error).split("\n")
    return []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            'variants = true, language = "en_GB"',
            '.language = "en_GB": must be a language tag, such as "en" or "pt-BR".',
        ),
        ('language = "en"', '.language = "en": has no effect without variants.'),
        ('fields = { Content-Encoding = "gzip" }', f'.fields.Content-Encoding = "gzip": {CODING}'),
        ('variants = true, language = "pt-BR", precompressed = true', ""),
        ('compress = false, fields = { content-encoding = "gzip" }', ""),
    ],
)
def test_a_route(tmp_path: Path, keys: str, expected: str) -> None:
    text = f'[[web.site]]\nroutes = [{{ path = "/", files = "www", {keys} }}]\n'
    assert sentences(tmp_path, text) == ([f"{AT}.routes[0]{expected}"] if expected else [])


@pytest.mark.parametrize(("compress", "is_wrong"), [("true", True), ("false", False)])
def test_a_coding_is_not_said_of_what_is_compressed(tmp_path: Path, compress: str, is_wrong: bool) -> None:
    text = (
        f'[[web.site]]\nroutes = [{{ path = "/", files = "www", compress = {compress} }}]\n'
        'fields = [{ path = "*.z", set = { content-encoding = "gzip" } }]\n'
    )
    complaint = f'netlodge.toml:3: web.site[0].fields[0].set.content-encoding = "gzip": {CODING}'
    assert sentences(tmp_path, text) == ([complaint] if is_wrong else [])
