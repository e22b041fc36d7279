"""What the documents say is so: commands exist with the options shown, links lead somewhere, RFC sections name real tests."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import click
import pytest

from netlodge.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "netlodge"
RFC_INDEX = ROOT / "docs" / "rfc.toml"

DOCUMENTS: Final = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md"), *SOURCE.glob("**/*.md"))
    if path.is_file()
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- Commands ---------------------------------------------------------------------------------------------------------


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of each `netlodge` command in the console blocks, pipelines taken apart."""
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                words = shlex.split(line[2:], comments=True)
                while words:
                    end = words.index("|") if "|" in words else len(words)
                    if words[0] == "netlodge":
                        yield words[1:end]
                    words = words[end + 1 :]


def complaint_about(command: list[str]) -> str:
    """What is wrong with a command line, or `""`: its command and each of its options must exist. Nothing is run."""
    context = click.Context(main, info_name="netlodge")
    assert isinstance(main, click.Group)
    found = main.get_command(context, command[0]) if command else main
    while isinstance(found, click.Group) and found is not main and len(command) > 1 and not command[1].startswith("-"):
        command = [" ".join(command[:2]), *command[2:]]
        found = found.get_command(context, command[0].split()[-1])
    if found is None:
        return f"there is no command {command[0]}"
    known = {name for parameter in found.get_params(context) for name in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [
        word for word in command[1:] if word.startswith("-") and word != "-" and word.partition("=")[0] not in known
    ]
    return f"{command[0]} has no {', '.join(unknown)}" if unknown else ""


COMMANDS: Final = [
    (name_of(path), command) for path in DOCUMENTS for command in commands_in(path.read_text(encoding="utf-8"))
]


def test_the_readme_shows_commands() -> None:
    assert len([1 for name, _ in COMMANDS if name == "README.md"]) > 5


@pytest.mark.parametrize(
    ("document", "command"), COMMANDS, ids=lambda part: part if isinstance(part, str) else " ".join(part)
)
def test_a_command_in_a_document_exists(document: str, command: list[str]) -> None:
    assert not complaint_about(command)


@pytest.mark.parametrize(
    "command",
    [["upp"], ["up", "--file", "x"], ["user", "ad"], ["user", "add", "x", "--loud"], ["talk", "--loud", "h", "1"]],
    ids=" ".join,
)
def test_a_command_that_is_wrong_is_noticed(command: list[str]) -> None:
    assert complaint_about(command)


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / ".ci" / "run"], ids=name_of)
def test_make_targets_in_a_document_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    shown = re.findall(r"(?:^(?:\$ |    )?|`)make ([a-z-]+)", text, re.MULTILINE)
    assert set(shown) <= make_targets()


# --- Links ------------------------------------------------------------------------------------------------------------


def anchors_of(text: str) -> set[str]:
    """The anchors of a document's headings, as they are made from the words."""
    headings = re.findall(r"^#+ +(.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(document: Path, text: str) -> list[str]:
    """Relative links that lead to no file, or to no heading of it."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists():
            broken.append(link)
        elif anchor and target.suffix == ".md":
            own = text if target == document else target.read_text(encoding="utf-8")
            if anchor not in anchors_of(own):
                broken.append(link)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    assert not broken_links(document, document.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", ["[x](no-such-file.md)", "# One\n[x](#two)", "[x](README.md#no-such-heading)"])
def test_a_broken_link_is_noticed(text: str) -> None:
    assert broken_links(ROOT / "README.md", text)


# --- RFCs -------------------------------------------------------------------------------------------------------------

Entry = dict[str, Any]


def rfc_entries() -> list[Entry]:
    entries: list[Entry] = tomllib.loads(RFC_INDEX.read_text(encoding="utf-8"))["section"]
    return entries


def complaints_about(entry: Entry) -> list[str]:
    """What is wrong with one entry: keys, status, and the test that it names."""
    complaints = []
    if extra := set(entry) - {"rfc", "section", "title", "status", "test", "note"}:
        complaints.append(f"unknown keys {extra}")
    if not isinstance(entry.get("rfc"), int) or not isinstance(entry.get("section"), str) or not entry.get("title"):
        complaints.append("rfc (number), section and title are wanted")
    if entry.get("status") not in {"yes", "partial", "no"}:
        complaints.append(f"status {entry.get('status')!r}")
    if not entry.get("test") and not entry.get("note"):
        complaints.append("neither a test nor a note")
    if entry.get("status") == "partial" and not entry.get("note"):
        complaints.append("partial, without a note that says what is missing")
    if entry.get("test") and not is_test(entry["test"]):
        complaints.append(f"there is no test {entry['test']}")
    return complaints


def is_defined(tree: ast.AST, names: list[str]) -> bool:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == names[0]:
            return len(names) == 1 or is_defined(node, names[1:])
    return False


def is_test(test: str) -> bool:
    """Whether `tests/path.py`, `tests/path.py::name` or `tests/path.py::Class::name` is there."""
    path, *names = test.split("::")
    file = ROOT / path
    if not file.is_file() or not path.startswith("tests/"):
        return False
    return not names or is_defined(ast.parse(file.read_text(encoding="utf-8")), names)


@pytest.mark.parametrize("entry", rfc_entries(), ids=lambda entry: f"{entry.get('rfc')}-{entry.get('section')}")
def test_an_entry_of_the_rfc_index_is_well_formed(entry: Entry) -> None:
    assert not complaints_about(entry)


def test_no_section_stands_twice_in_the_rfc_index() -> None:
    keys = [(entry["rfc"], entry["section"]) for entry in rfc_entries()]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    "entry",
    [
        {"rfc": 9112, "section": "1", "title": "x", "status": "maybe", "note": "x"},
        {"rfc": 9112, "section": "1", "title": "x", "status": "yes"},
        {"rfc": 9112, "section": "1", "title": "x", "status": "partial", "test": "tests/test_docs.py"},
        {"rfc": 9112, "section": "1", "title": "x", "status": "yes", "test": "tests/test_docs.py::test_nothing"},
        {"rfc": "9112", "section": "1", "title": "x", "status": "yes", "note": "x"},
        {"rfc": 9112, "section": "1", "title": "x", "status": "yes", "note": "x", "remark": "x"},
    ],
)
def test_an_entry_that_is_wrong_is_noticed(entry: Entry) -> None:
    assert complaints_about(entry)


SOURCES: Final = sorted(SOURCE.rglob("*.py"))


def sections_in(text: str) -> set[tuple[int, str]]:
    return {(int(rfc), section) for rfc, section in re.findall(r"RFC (\d{3,4}) §([0-9A-Z]+(?:\.[0-9]+)*)", text)}


def test_every_section_that_a_module_implements_stands_in_the_rfc_index() -> None:
    """A module's docstring names what it implements; for HTTP itself, every mention in the source counts."""
    known = {(entry["rfc"], entry["section"]) for entry in rfc_entries()}
    core = {9110, 9112}
    missing = []
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        named = sections_in(ast.get_docstring(ast.parse(text)) or "")
        named |= {key for key in sections_in(text) if key[0] in core}
        missing += [f"{name_of(path)}: RFC {rfc} §{section}" for rfc, section in sorted(named - known)]
    assert not missing, "\n".join(missing)
