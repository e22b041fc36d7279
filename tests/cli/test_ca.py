"""`netlodge ca`: shows the authority, gives it away, and puts it into stores: a browser's in a home folder of the test's own."""

from __future__ import annotations

import os
import shlex
import ssl
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from netlodge.cli import trust_stores
from netlodge.cli.main import main
from netlodge.cli.trust_stores import _Anchors, change_system, nickname, nss_stores
from netlodge.store.authority import make_root, read_root


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and beside it a lodge with an authority."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    make_root(tmp_path / "lodge" / "ca", time.time(), "gatehouse")
    return folder


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["ca", *arguments])


def openssl(*arguments: str | Path) -> str:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout


def trusted(store: Path) -> str:
    """What a store of NSS has, as NSS itself tells it."""
    command = ["certutil", "-L", "-d", f"sql:{store}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# --- show and export ----------------------------------------------------------------------------------------------------


def test_show_says_what_openssl_says() -> None:
    shown = run("show")
    assert shown.exit_code == 0
    path = Path("lodge/ca/root.pem")
    fingerprint = openssl("x509", "-in", path, "-noout", "-fingerprint", "-sha256").strip().partition("=")[2]
    lines = dict(line.split(":", 1) for line in shown.stdout.splitlines())
    assert lines["SHA-256"].strip() == fingerprint
    assert lines["File"].strip() == str(path.absolute())
    assert lines["Authority"].strip().startswith("Netlodge on gatehouse (")
    assert lines["Authority"].strip() in openssl("x509", "-in", path, "-noout", "-subject")
    assert " to " in lines["Valid"]


def test_show_warns_of_a_key_that_others_may_read() -> None:
    key = Path("lodge/ca/root.key")
    assert run("show").stderr == ""
    key.chmod(0o644)
    assert "Run: chmod 600" in run("show").stderr


def test_show_tells_of_an_authority_whose_time_is_over(tmp_path: Path) -> None:
    make_root(tmp_path / "old" / "ca", 0.0)
    assert "Its time is over" in run("show", "--data", "old").stderr


def test_without_an_authority_it_is_said_how_there_will_be_one() -> None:
    result = run("show", "--data", "elsewhere")
    assert result.exit_code == 1
    assert "netlodge up" in result.stderr


def test_export_gives_the_certificate_and_never_the_key(tmp_path: Path) -> None:
    path = Path("lodge/ca/root.pem")
    pem, der = run("export").stdout_bytes, run("export", "--der").stdout_bytes
    assert pem == path.read_bytes()
    assert der == ssl.PEM_cert_to_DER_cert(path.read_text())
    said = run("export", "--output", "out.pem")
    assert Path("out.pem").read_bytes() == pem
    assert "Wrote out.pem" in said.stdout
    assert b"PRIVATE" not in pem + der
    refused = run("export", "--output", "no/such/folder.pem")
    assert refused.exit_code == 1
    assert "cannot be written: No such file or directory." in refused.stderr


# --- install and remove: browsers -----------------------------------------------------------------------------------------


def test_each_profile_learns_to_trust_and_to_forget(home: Path) -> None:
    stores = [home / ".pki/nssdb", home / ".mozilla/firefox/abc.default", home / ".thunderbird/xyz"]
    for store in stores:
        store.mkdir(parents=True)
        subprocess.run(["certutil", "-N", "--empty-password", "-d", f"sql:{store}"], check=True, capture_output=True)
    (home / ".mozilla/firefox/Crash Reports").mkdir()  # no profile
    assert nss_stores(home) == stores
    name = nickname(read_root(Path("lodge/ca")))
    for _ in range(2):  # again does no harm
        result = run("install", "--no-system")
        assert result.exit_code == 0, result.output
        for store in stores:
            assert f"{store}: trusted" in result.stdout
            assert [line.split() for line in trusted(store).splitlines() if name in line] == [[name, "C,,"]]
    result = run("remove", "--no-system")
    assert result.exit_code == 0
    assert result.stdout.count(": removed") == 3
    assert all(name not in trusted(store) for store in stores)
    assert run("remove", "--no-system").stdout.count("was not in it") == 3


def test_a_chromium_that_never_ran_gets_a_store(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust_stores, "_has_chromium", lambda: False)
    result = run("install", "--no-system")
    assert f"no profile of Firefox, Thunderbird or Chromium in {home}" in result.stdout
    assert not (home / ".pki").exists()
    monkeypatch.setattr(trust_stores, "_has_chromium", lambda: True)
    assert run("install", "--no-system").exit_code == 0
    store = home / ".pki/nssdb"
    assert "C,," in trusted(store)
    assert stat.S_IMODE(store.stat().st_mode) == 0o700


def test_a_store_that_cannot_be_written_is_told(home: Path) -> None:
    store = home / ".mozilla/firefox/broken"
    store.mkdir(parents=True)
    (store / "cert9.db").write_text("no database")
    result = run("install", "--no-system")
    assert result.exit_code == 1
    assert f"{store}: certutil failed: " in result.stderr


def test_a_store_with_a_password_is_for_who_knows_it(home: Path, tmp_path: Path) -> None:
    store = home / ".mozilla/firefox/locked profile"
    store.mkdir(parents=True)
    (tmp_path / "password").write_text("secret")
    command = ["certutil", "-N", "-f", str(tmp_path / "password"), "-d", f"sql:{store}"]
    subprocess.run(command, check=True, capture_output=True)
    result = run("install", "--no-system")
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if "it has a password; run and type: " in line]
    told = shlex.split(line.partition("type: ")[2])
    subprocess.run([*told, "-f", str(tmp_path / "password")], check=True, capture_output=True)
    assert "C,," in trusted(store)


def test_a_home_that_may_not_be_looked_into_has_no_profiles(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".pki/nssdb").mkdir(parents=True)
    stat_of = os.stat

    def refuse(path: os.PathLike[str] | str, **options: Any) -> os.stat_result:
        if str(path).startswith(str(home)):
            raise PermissionError(13, os.strerror(13), str(path))
        return stat_of(path, **options)

    monkeypatch.setattr(os, "stat", refuse)
    result = run("install", "--no-system")
    assert result.exit_code == 0, result.exception
    assert "no profile" in result.stdout


def test_a_home_that_is_not_there_is_not_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home / "gone"))
    monkeypatch.setattr(trust_stores, "_has_chromium", lambda: True)
    assert "no profile" in run("install", "--no-system").stdout
    assert not (home / "gone").exists()


def test_without_certutil_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust_stores, "_has_chromium", lambda: True)
    monkeypatch.setenv("PATH", "/nonexistent")
    result = run("install", "--no-system")
    assert result.exit_code == 1
    assert "libnss3-tools" in result.stderr


# --- install and remove: the system -----------------------------------------------------------------------------------------


@pytest.fixture
def anchors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Anchors:
    """A system of the test's own, whose update notes that it was called."""
    programs = tmp_path / "bin"
    programs.mkdir()
    update = programs / "update-certificates"
    update.write_text(f'#!/bin/sh\nls "{tmp_path}/anchors" > "{tmp_path}/updated"\n')
    update.chmod(0o755)
    (tmp_path / "anchors").mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return _Anchors(tmp_path / "anchors", ("update-certificates",))


def test_root_changes_the_system(tmp_path: Path, anchors: _Anchors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    root = read_root(Path("lodge/ca"))
    file = anchors.folder / f"{nickname(root)}.crt"
    done = change_system(root, is_removal=False, anchors=[anchors])
    assert done.is_done, done
    assert file.read_bytes() == root.path.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert (tmp_path / "updated").read_text() == f"{file.name}\n"
    assert change_system(root, is_removal=True, anchors=[anchors]).is_done
    assert not file.exists()
    assert (tmp_path / "updated").read_text() == ""


def test_others_are_told_the_exact_command(anchors: _Anchors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    root = read_root(Path("lodge/ca"))
    told = change_system(root, is_removal=False, anchors=[anchors])
    assert not told.is_done
    file = anchors.folder / f"{nickname(root)}.crt"
    assert told.text == f"only root may; run: sudo install -m 644 {root.path} {file} && sudo update-certificates"
    assert list(anchors.folder.iterdir()) == []


def test_a_failure_and_an_unknown_system_are_told(anchors: _Anchors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    root = read_root(Path("lodge/ca"))
    broken = _Anchors(anchors.folder, ("false",))
    outcome = change_system(root, is_removal=False, anchors=[broken])
    assert not outcome.is_done
    assert outcome.text == "`false` failed: exit code 1"
    unknown = change_system(root, is_removal=False, anchors=[])
    assert not unknown.is_done
    assert str(root.path) in unknown.text
