"""No path leads out of the root: random trees with links, and the resolver of the standard library as the judge."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netlodge.http.handlers.files import Files, FilesSettings
from netlodge.http.handlers.root import Root
from tests.http.handlers.asking import content, get, later

names = st.sampled_from(["a", "b", "c", "index.html"])
places = st.lists(names, min_size=1, max_size=3).map("/".join)
targets = st.lists(st.sampled_from(["a", "b", "c", "..", ".", "out"]), min_size=1, max_size=4).map("/".join)
trees = st.lists(
    st.one_of(
        st.tuples(st.just("file"), places, st.just("")),
        st.tuples(st.just("directory"), places, st.just("")),
        st.tuples(st.just("link"), places, targets),
        st.tuples(st.just("absolute link"), places, targets),
    ),
    max_size=10,
)
asked = st.lists(
    st.sampled_from(["a", "b", "c", "index.html", "..", ".", "%2e%2e", "%2e", "..%2f", "%61", "", "out", "www", "\\"]),
    max_size=5,
).map(lambda segments: "/" + "/".join(segments))


def plant(base: Path, tree: list[tuple[str, str, str]]) -> Path:
    root = base / "www"
    root.mkdir()
    (base / "out").mkdir()
    for place in ("out/a", "out/index.html", "a", "www-a"):
        (base / place).write_text("outside " + place)
    for kind, place, target in tree:
        path = root / place
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "file":
                path.write_text("inside " + place)
            elif kind == "directory":
                path.mkdir()
            elif kind == "link":
                path.symlink_to(target)
            else:
                path.symlink_to(base / "www" / target)
        except OSError:
            continue  # the tree that was drawn contradicts itself here
    return root


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(trees, st.lists(asked, min_size=1, max_size=6))
def test_whatever_is_asked_what_is_served_is_inside(tree: list[tuple[str, str, str]], paths: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory).resolve()
        root = plant(base, tree)
        before = {os.path.realpath(path) for path in root.rglob("*") if path.is_file()}
        inside = {Path(path).read_bytes() for path in before if path.startswith(f"{root}/")}
        handler = Files(FilesSettings(root=root), clock=later())
        for path in paths:
            for _ in range(2):
                response = get(handler, path)
                assert response.status in (200, 301, 400, 404)
                if response.status == 200:
                    assert content(response) in inside
                if response.status == 301:
                    location = response.fields.get("location") or ""
                    assert location.startswith("/")
                    assert not location.startswith("//")


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(trees)
def test_every_file_that_is_really_inside_can_be_had(tree: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = plant(Path(directory).resolve(), tree)
        handler = Files(FilesSettings(root=root), clock=later())
        for path in root.rglob("*"):
            if not path.is_file():
                continue
            response = get(handler, "/" + str(path.relative_to(root)))
            if os.path.realpath(path).startswith(f"{root}/"):
                assert content(response) == path.read_bytes()
            else:
                assert response.status == 404


def test_the_root_of_the_whole_system_can_be_served(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    root = Root("/")
    descriptor, status = root.open_file(root.locate(str(tmp_path / "a").strip("/").split("/")))
    os.close(descriptor)
    assert status.st_size == 1
    assert root.locate(()) == b""
    assert root.contains(b"/")
