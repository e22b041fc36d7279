"""From the name of an application to the application. Whatever goes wrong is one sentence that says what, where, and what is near."""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from netlodge.config.build import nearest
from netlodge.config.examine_apps import AppName, complaint_about_app
from netlodge.core.errors import NetlodgeError

logger = logging.getLogger("netlodge.applications")


def load_application(text: str, folder: Path) -> Any:
    """The object that `text` (`module:name`, or `module:name()` for what a function makes) names.

    Its module, and what that imports, is looked for in `folder` first: this process's `sys.path` is changed for good. Raises `NetlodgeError`.
    """
    name = AppName.parse(text)
    if name is None:
        raise NetlodgeError(f'app = "{text}": it {complaint_about_app(text)}.')
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))
    target: Any = _import(text, name.module, folder)
    for place, part in enumerate(name.attribute.split(".")):
        try:
            target = getattr(target, part)
        except AttributeError:
            owner = ".".join([name.module, *name.attribute.split(".")[:place]])
            hint = nearest(part, [each for each in dir(target) if not each.startswith("_")]) or "."
            raise NetlodgeError(f'app = "{text}": {owner} has no {part!r}{hint}') from None
    if not name.is_factory:
        return target
    try:
        return target()
    except Exception as error:
        raise _failure(text, f"calling {name.attribute}()", error) from error


def _import(text: str, module: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module != missing and not module.startswith(f"{missing}."):
            raise _failure(text, f"importing {module}", error) from error
        parent, _, leaf = missing.rpartition(".")
        hint = nearest(leaf, _modules_in(folder.joinpath(*parent.split(".")) if parent else folder)) or "."
        raise NetlodgeError(
            f'app = "{text}": there is no module {missing!r} in {folder} or in what is installed{hint}'
        ) from None
    except (Exception, SystemExit) as error:
        raise _failure(text, f"importing {module}", error) from error


def _modules_in(folder: Path) -> list[str]:
    """The names of the modules and packages that lie in a folder."""
    if not folder.is_dir():
        return []
    return [
        entry.stem if entry.suffix == ".py" else entry.name
        for entry in folder.iterdir()
        if entry.suffix == ".py" or (entry / "__init__.py").is_file()
    ]


def _failure(text: str, doing: str, error: BaseException) -> NetlodgeError:
    """What an application's own code raised, with the line that raised it. The whole traceback is in the log at level `debug`."""
    logger.debug("%s failed", doing, exc_info=error)
    if isinstance(error, SyntaxError):
        said, place = error.msg, f" ({error.filename}, line {error.lineno})"
    else:
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen ")
        ]
        own = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
        place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
        said = str(error).partition("\n")[0]
    return NetlodgeError(f'app = "{text}": {doing} raised {type(error).__name__}{f": {said}" if said else ""}{place}')
