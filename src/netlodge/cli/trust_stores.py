"""Where programs on this machine look for the authorities that they trust, and how one is put there and taken away again.

The system's store is what curl, Python and most programs ask. Firefox, Thunderbird and, on Linux, Chromium have stores of their own, in
the format of NSS, one for each profile: `certutil` writes them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Final, NamedTuple

from netlodge.store.authority import Root

CERTUTIL_PACKAGE: Final = "libnss3-tools on Debian and Ubuntu, nss-tools on Fedora, nss on Arch and Homebrew"
_PATIENCE: Final = 60.0
"""Seconds for one of the system's programs; `update-ca-certificates` takes a few."""


class Outcome(NamedTuple):
    """What became of one store."""

    store: str
    is_done: bool
    text: str


@dataclass(frozen=True, slots=True)
class _Anchors:
    """A folder into which the system takes certificates, and the command that takes them up."""

    folder: Path
    update: tuple[str, ...]

    @property
    def is_here(self) -> bool:
        return self.folder.is_dir() and shutil.which(self.update[0]) is not None


ANCHORS: Final = (
    _Anchors(Path("/usr/local/share/ca-certificates"), ("update-ca-certificates",)),  # Debian, Ubuntu, Alpine
    _Anchors(Path("/etc/pki/ca-trust/source/anchors"), ("update-ca-trust", "extract")),  # Fedora, RHEL
    _Anchors(Path("/etc/ca-certificates/trust-source/anchors"), ("update-ca-trust", "extract")),  # Arch
    _Anchors(Path("/usr/share/pki/trust/anchors"), ("update-ca-certificates",)),  # openSUSE
)

_CHROMIUM: Final = (".pki/nssdb", ".local/share/pki/nssdb", "snap/chromium/current/.pki/nssdb")
_PROFILES: Final = (
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
    ".librewolf",
    ".thunderbird",
    "snap/thunderbird/common/.thunderbird",
    "Library/Application Support/Firefox/Profiles",
    "Library/Thunderbird/Profiles",
)
"""Folders of profiles, below the home folder: each profile is a folder in there with a `cert9.db`."""


def nickname(root: Root) -> str:
    """What the authority is called in the stores: two lodges have two names."""
    return f"netlodge-{root.fingerprint.replace(':', '')[:12].lower()}"


# --- The system -------------------------------------------------------------------------------------------------------


def system_steps(root: Root, *, is_removal: bool, anchors: Sequence[_Anchors] = ANCHORS) -> list[list[str]]:
    """The commands that put the authority into the system's store, or take it away; none if this system's is not known."""
    if sys.platform == "darwin":
        if is_removal:
            return [["security", "remove-trusted-cert", "-d", str(root.path)]]
        keychain = "/Library/Keychains/System.keychain"
        return [["security", "add-trusted-cert", "-d", "-r", "trustRoot", "-k", keychain, str(root.path)]]
    for each in anchors:
        if each.is_here:
            file = str(each.folder / f"{nickname(root)}.crt")
            place = ["rm", "-f", file] if is_removal else ["install", "-m", "644", str(root.path), file]
            return [place, list(each.update)]
    return []


def change_system(root: Root, *, is_removal: bool, anchors: Sequence[_Anchors] = ANCHORS) -> Outcome:
    """Put the authority into the system's store, or take it away. Only root may: others are told what to run."""
    store = "system"
    steps = system_steps(root, is_removal=is_removal, anchors=anchors)
    if not steps:
        return Outcome(store, False, f"its store is not known here; give it {root.path} by hand")
    if os.geteuid() != 0:
        commands = " && ".join(f"sudo {shlex.join(step)}" for step in steps)
        return Outcome(store, False, f"only root may; run: {commands}")
    for step in steps:
        complaint = _run(step)
        if complaint:
            return Outcome(store, False, f"`{shlex.join(step)}` failed: {complaint}")
    return Outcome(store, True, "removed" if is_removal else "trusted by curl, Python and what else asks the system")


# --- Browsers ---------------------------------------------------------------------------------------------------------


def nss_stores(home: Path) -> list[Path]:
    """The stores of Chromium, Firefox and Thunderbird below a home folder, as far as it may be looked into."""
    # Unlike those of `Path`, these take what may not be looked at for what is not there.
    places = [*_CHROMIUM, *(profile for place in _PROFILES for profile in sorted(glob(f"{place}/*", root_dir=home)))]
    return [home / place for place in places if os.path.isfile(home / place / "cert9.db")]


def change_browsers(root: Root, home: Path, *, is_removal: bool) -> Iterator[Outcome]:
    """Put the authority into each store of a browser, or take it away. Chromium makes its store when it first needs one: it is made here
    if Chromium is installed and has none."""
    certutil = shutil.which("certutil")
    stores = nss_stores(home)
    if certutil is None:
        if stores or _has_chromium():
            yield Outcome("browsers", False, f"need certutil ({CERTUTIL_PACKAGE}); install it and run this again")
        return
    has_store = any(os.path.isdir(home / place) for place in _CHROMIUM)
    if not is_removal and not has_store and _has_chromium() and os.path.isdir(home):
        stores.insert(0, home / _CHROMIUM[0])
    if not stores:
        yield Outcome("browsers", True, f"no profile of Firefox, Thunderbird or Chromium in {home}")
    for store in stores:
        yield _change_store(certutil, store, root, is_removal=is_removal)


def _change_store(certutil: str, store: Path, root: Root, *, is_removal: bool) -> Outcome:
    database = ["-d", f"sql:{store}", "-n", nickname(root)]
    is_there = not _run([certutil, "-L", *database])
    if is_removal:
        complaint = _run([certutil, "-D", *database]) if is_there else ""
        text = "removed" if is_there else "was not in it"
    else:
        complaint = "" if (store / "cert9.db").is_file() else _make_store(certutil, store)
        # Trusted for servers, and for nothing else (`C,,`).
        command = [certutil, "-A", *database, "-t", "C,,", "-i", str(root.path)]
        complaint = complaint or _run(command)
        if "SEC_ERROR_BAD_PASSWORD" in complaint:
            return Outcome(str(store), False, f"it has a password; run and type: {shlex.join(command)}")
        text = "trusted; a browser that is open must be started again"
    return Outcome(str(store), not complaint, f"certutil failed: {complaint}" if complaint else text)


def _make_store(certutil: str, store: Path) -> str:
    try:
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    return _run([certutil, "-N", "--empty-password", "-d", f"sql:{store}"])


def _has_chromium() -> bool:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "brave-browser", "microsoft-edge")
    return sys.platform != "darwin" and any(shutil.which(name) for name in names)


def _run(command: Sequence[str]) -> str:
    """Run a program of the system; what it complained about, empty if it went well."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    said = (done.stderr or done.stdout).strip().splitlines()
    return said[-1] if said else f"exit code {done.returncode}"
