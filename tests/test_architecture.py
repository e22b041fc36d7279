"""Holds src/netlodge to the layers of docs/ARCHITECTURE.md: who may import whom, and a few habits that a layer cannot do without.

Each rule is a pure function from a tree of sources to the complaints about it, and has a test that shows it can complain.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent / "src"
PACKAGE = "netlodge"

FAMILIES: Final = ("http", "dns", "mail", "lines")


class Layer(NamedTuple):
    """A row of the table: the modules `netlodge.<place>` and below may import their own layer and those named.

    `*` in a place stands for one family, the same in the whole row: so a family's wire never sees another family.
    """

    place: str
    may_import: tuple[str, ...]


LAYERS: Final = (
    Layer("core", ()),
    Layer("net", ("core",)),
    Layer("observe", ("core",)),
    Layer("store", ("core",)),
    # A line service is a pure function of a sentence, so it is this family's rule; its nouns are its wire's events.
    Layer("lines.services", ("lines.wire", "core")),
    Layer("lines.session", ("lines.services", "lines.wire", "core")),
    Layer("lines.datagrams", ("lines.session", "lines.services", "lines.wire", "core")),
    Layer("*.message", ("core",)),
    Layer("*.wire", ("*.message", "core")),
    Layer("*.rules", ("*.message", "core")),
    Layer("*.session", ("*.wire", "*.message", "*.rules", "core")),
    # A form is read as it comes, by a codec: its grammar is one of content, not of the connection that carries it.
    Layer(
        "http.handlers.forms",
        ("http.wire.multipart", "http.wire.events", "http.handlers", "http.message", "http.rules", "store", "core"),
    ),
    Layer("*.handlers", ("*.message", "*.rules", "store", "core")),
    Layer("*.client", ("*.wire", "*.message", "*.rules", "net", "core")),
    Layer("dashboard", ("observe", "store", "core", "http.message")),
    # Applications that come along, written as anyone would write one for a lodge.
    Layer("starter", ("http.message", "http.rules", "http.handlers", "store", "core")),
    Layer("plan", ("store", "http.rules", "core")),
    Layer("config", ("core",)),
    Layer("app", ("config", "core", "net", "observe", "store", "dashboard", "plan", *FAMILIES)),
    Layer("cli", ("app", "config", "core", "net", "observe", "store", "dashboard", "plan", *FAMILIES)),
)

UNWANTED_NAMES: Final = frozenset({"utils", "util", "helpers", "helper", "manager", "misc", "base", "common"})

MUTABLE_CALLS: Final = frozenset(
    {"list", "dict", "set", "bytearray", "deque", "defaultdict", "OrderedDict", "Counter", "WeakValueDictionary"}
)
READ_ONLY_TYPES: Final = frozenset({"Final", "Mapping", "Sequence", "Set", "AbstractSet", "Collection", "ClassVar"})
MUTATORS: Final = frozenset(
    {"append", "extend", "insert", "pop", "popitem", "remove", "clear", "update", "setdefault", "add", "discard"}
    | {"sort", "reverse", "appendleft", "popleft"}
)
WIRE_NAMES: Final = frozenset(
    {"line", "data", "raw", "value", "field_value", "chunk", "head", "octets", "text", "token"}
)

Tree = Mapping[str, str]
"""Sources by module name, relative to the package: `{"http.wire.h1": "import ..."}`; a package's own file ends in `.__init__`."""


def read_tree(root: Path) -> dict[str, str]:
    return {
        ".".join(path.relative_to(root / PACKAGE).with_suffix("").parts): path.read_text()
        for path in sorted((root / PACKAGE).rglob("*.py"))
    }


# --- Imports ----------------------------------------------------------------------------------------------------------


def is_within(module: str, place: str) -> bool:
    return module == place or module.startswith(f"{place}.")


def layer_of(module: str) -> tuple[str, tuple[str, ...]] | None:
    """The layer's place and what it may import, with `*` filled in; None if the table has no row for the module."""
    for layer in LAYERS:
        for family in FAMILIES if "*" in layer.place else ("",):
            place = layer.place.replace("*", family)
            if is_within(module, place):
                return place, tuple(other.replace("*", family) for other in layer.may_import)
    return None


def imports_of(module: str, source: str) -> Iterator[tuple[int, str]]:
    """Line and name of everything of ours that a module imports, wherever in the file, type checking included."""
    parts = module.split(".")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                origin = ".".join([PACKAGE, *parts[: len(parts) - node.level], *([origin] if origin else [])])
            # `from netlodge import http` imports the module `netlodge.http`.
            names = [f"{origin}.{alias.name}" for alias in node.names] if origin == PACKAGE else [origin]
        else:
            continue
        for name in names:
            if is_within(name, PACKAGE):
                yield node.lineno, name.removeprefix(PACKAGE).removeprefix(".")


def has_no_row(tree: Tree) -> list[str]:
    """A module that no row of the table describes: give it a row, or another place."""
    return [
        f"{module}: no row in LAYERS"
        for module, source in tree.items()
        if not module.endswith("__init__") and module != "__main__" and layer_of(module) is None
    ] + [
        f"{module}: a package outside the layers holds no code"
        for module, source in tree.items()
        if module.endswith(".__init__") and layer_of(module) is None and has_code(source)
    ]


def has_code(source: str) -> bool:
    return any(not isinstance(node, ast.Expr) for node in ast.parse(source).body)


def imports_upward(tree: Tree) -> list[str]:
    """An import that the module's row does not allow."""
    complaints = []
    for module, source in tree.items():
        layer = ("cli", ("cli",)) if module == "__main__" else layer_of(module)
        if layer is None:
            continue
        place, may_import = layer
        for line, name in imports_of(module, source):
            is_package = name in {"", "__version__"}
            if not is_package and not any(is_within(name, other) for other in (place, *may_import)):
                complaints.append(f"{module}:{line}: {place} may not import {name}")
    return complaints


# --- Habits -----------------------------------------------------------------------------------------------------------


def keeps_state(tree: Tree) -> list[str]:
    """State that outlives a call and belongs to nobody: a mutable object bound to a module's name.

    A table in CAPITALS, or one typed as read-only, may be a literal: but then nothing in its module may write to it.
    """
    complaints = []
    for module, source in tree.items():
        parsed = ast.parse(source)
        tables = set()
        for node in parsed.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and is_mutable(node.value):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
                is_read_only = isinstance(node, ast.AnnAssign) and names_of(node.annotation) & READ_ONLY_TYPES
                for name in names:
                    tables.add(name)
                    if not (is_read_only or name.isupper() or name == "__all__"):
                        complaints.append(f"{module}:{node.lineno}: {name} is mutable state of the module")
        for part in ast.walk(parsed):
            if isinstance(part, ast.Global):
                complaints.append(f"{module}:{part.lineno}: global {', '.join(part.names)}")
            elif (name := written_to(part)) in tables and not is_local(parsed, part, name):
                complaints.append(f"{module}:{getattr(part, 'lineno', 0)}: writes to the table {name}")
    return complaints


def is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    if isinstance(value, ast.BinOp):
        return is_mutable(value.left) or is_mutable(value.right)
    return isinstance(value, ast.Call) and bool(names_of(value.func) & MUTABLE_CALLS)


def names_of(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | {
        n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)
    }


def written_to(node: ast.AST) -> str:
    """The name whose object this node changes, or `""`: `NAME[...] = x`, `del NAME[...]`, `NAME.append(x)`, `NAME |= x`."""
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        target = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        target = node.func.value
    elif isinstance(node, ast.AugAssign):
        target = node.target
    else:
        return ""
    return target.id if isinstance(target, ast.Name) else ""


def is_local(parsed: ast.Module, node: ast.AST, name: str) -> bool:
    """Whether `node` stands in a function that binds `name` itself."""
    return any(
        isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and node in ast.walk(function)
        and any(
            (isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store))
            or (isinstance(n, ast.arg) and n.arg == name)
            for n in ast.walk(function)
        )
        for function in ast.walk(parsed)
    )


def is_named_vaguely(tree: Tree) -> list[str]:
    """A name that says nothing of its subject collects what has none."""
    return [
        f"{module}: {part} names no subject"
        for module in tree
        for part in module.split(".")
        if part.strip("_") in UNWANTED_NAMES
    ]


def reads_numbers_loosely(tree: Tree) -> list[str]:
    """`int()` on octets of the wire takes `+1`, ` 1`, `1_0`, and other alphabets' digits, which no grammar here has.

    Heuristic: in a family, `int()` of something with a wire's name wants `isdigit` and `isascii`, or a regular expression's
    match, in the same function.
    """
    complaints = []
    for module, source in tree.items():
        if module.split(".")[0] not in FAMILIES:
            continue
        for function in ast.walk(ast.parse(source)):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            called = {
                n.func.attr for n in ast.walk(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
            }
            is_checked = {"isdigit", "isascii"} <= called or bool({"fullmatch", "match"} & called)
            for call in ast.walk(function):
                if (
                    not is_checked
                    and isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Name)
                    and call.func.id == "int"
                    and call.args
                    and names_of(call.args[0]) & WIRE_NAMES
                ):
                    complaints.append(f"{module}:{call.lineno}: int() of octets that were not checked to be digits")
    return complaints


RULES: Final[tuple[Callable[[Tree], list[str]], ...]] = (
    has_no_row,
    imports_upward,
    keeps_state,
    is_named_vaguely,
    reads_numbers_loosely,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps_the_rule(rule: Callable[[Tree], list[str]]) -> None:
    tree = read_tree(ROOT)
    assert len(tree) > 20, "the tree was not found"
    assert not rule(tree), "\n".join(rule(tree))


# --- That each rule can complain --------------------------------------------------------------------------------------

BAD = [
    (has_no_row, {"gadgets": ""}),
    (has_no_row, {"http.gadgets": ""}),
    (has_no_row, {"gopher.wire.grammar": ""}),
    (has_no_row, {"http.__init__": "from netlodge.core import clock"}),
    (imports_upward, {"core.clock": "import netlodge.net"}),
    (imports_upward, {"core.clock": "from netlodge import config"}),
    (imports_upward, {"core.clock": "from ..net import tls"}),
    (imports_upward, {"net.listener": "from netlodge.observe.tap import Tap"}),
    (imports_upward, {"observe.tap": "from netlodge.http.message import Request"}),
    (imports_upward, {"store.cache": "from netlodge.net.memory import x"}),
    (imports_upward, {"http.message": "from netlodge.http.wire import grammar"}),
    (imports_upward, {"http.wire.h1": "from netlodge.http.rules import ranges"}),
    (imports_upward, {"http.wire.h1": "from netlodge.dns.message import Name"}),
    (imports_upward, {"http.rules.ranges": "from netlodge.http.wire import grammar"}),
    (imports_upward, {"http.session.h1": "from netlodge.http.handlers.files import Files"}),
    (imports_upward, {"http.session.h1": "from netlodge.net.connection import Stream"}),
    (imports_upward, {"http.handlers.files": "from netlodge.http.wire import grammar"}),
    (imports_upward, {"http.handlers.proxy": "from netlodge.http.client import Client"}),
    (imports_upward, {"http.client": "from netlodge.http.handlers import files"}),
    (imports_upward, {"mail.client": "from netlodge.dns.client import Resolver"}),
    (imports_upward, {"lines.services": "from netlodge.lines.session import LineLimits"}),
    (imports_upward, {"lines.session": "from netlodge.http.session import h1"}),
    (imports_upward, {"dashboard.pages": "from netlodge.http.wire import h1"}),
    (imports_upward, {"plan.sizes": "from netlodge.http.message import Request"}),
    (imports_upward, {"config.settings": "from netlodge.app import Lodge"}),
    (imports_upward, {"app": "from netlodge.cli import main"}),
    (imports_upward, {"net.supervisor": "def late():\n    from netlodge.app import Lodge"}),
    (imports_upward, {"__main__": "from netlodge.app import Lodge"}),
    (keeps_state, {"core.x": "cache = {}"}),
    (keeps_state, {"core.x": "seen: set[str] = set()"}),
    (keeps_state, {"core.x": "queue = collections.deque()"}),
    (keeps_state, {"core.x": "rows = [n for n in range(3)]"}),
    (keeps_state, {"core.x": "count = 0\ndef add():\n    global count\n    count += 1"}),
    (keeps_state, {"core.x": "TABLE = {}\ndef put(k, v):\n    TABLE[k] = v"}),
    (keeps_state, {"core.x": "TABLE: Final = []\ndef put(v):\n    TABLE.append(v)"}),
    (keeps_state, {"core.x": "TABLE = {1: 2} | {}\ndef drop(k):\n    del TABLE[k]"}),
    (is_named_vaguely, {"net.utils": ""}),
    (is_named_vaguely, {"http.helpers.__init__": ""}),
    (is_named_vaguely, {"store.base": ""}),
    (reads_numbers_loosely, {"http.wire.h1": "def f(line):\n    return int(line)"}),
    (reads_numbers_loosely, {"http.wire.h1": "def f(self):\n    return int(self.data[2:], 16)"}),
    (reads_numbers_loosely, {"dns.wire.x": "def f(value):\n    return int(value) if value.isdigit() else 0"}),
]

GOOD = [
    (has_no_row, {"__init__": "__version__ = '1'", "__main__": "", "http.__init__": '"""Words."""', "cli.up": ""}),
    (imports_upward, {"core.clock": "import time\nfrom netlodge.core import errors\nfrom . import errors"}),
    (
        imports_upward,
        {"http.session.h1": "from netlodge.http.wire.h1 import Codec\nfrom netlodge.http.rules import ranges"},
    ),
    (imports_upward, {"http.handlers.files": "from netlodge.store.cache import Store\nfrom . import router"}),
    (imports_upward, {"mail.client": "from netlodge.net import dial\nfrom netlodge.mail.wire import smtp"}),
    (imports_upward, {"cli.up": "from netlodge import __version__, app, config\nimport netlodge.dns.session"}),
    (imports_upward, {"lines.datagrams": "from netlodge.lines.services import respond"}),
    (imports_upward, {"__main__": "from netlodge.cli.main import main"}),
    (keeps_state, {"core.x": "TABLE = {1: 2}\nrows: Mapping[int, int] = {}\n__all__ = ['x']\npair = (1, 2)"}),
    (keeps_state, {"core.x": "class A:\n    def __init__(self):\n        self.rows = []\n        self.rows.append(1)"}),
    (keeps_state, {"core.x": "names: Final = ['a']\ndef f():\n    names = []\n    names.append(1)"}),
    (is_named_vaguely, {"http.message": "", "store.database": ""}),
    (
        reads_numbers_loosely,
        {"http.wire.h1": "def f(line):\n    return int(line) if line.isascii() and line.isdigit() else 0"},
    ),
    (reads_numbers_loosely, {"cli.talk": "def f(value):\n    return int(value)"}),
]


@pytest.mark.parametrize(("rule", "tree"), BAD, ids=lambda part: getattr(part, "__name__", None))
def test_the_rule_complains(rule: Callable[[Tree], list[str]], tree: Tree) -> None:
    assert rule(tree)


@pytest.mark.parametrize(("rule", "tree"), GOOD, ids=lambda part: getattr(part, "__name__", None))
def test_the_rule_is_content(rule: Callable[[Tree], list[str]], tree: Tree) -> None:
    assert not rule(tree)
