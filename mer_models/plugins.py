"""Models of the user's own: from a Python file, or from an installed package with an entry point ``mer.models``."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.abc import ExecutionLoader
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "mer.models"


class BrokenModelFile(Exception):  # noqa: N818 - it names what is broken: the user's file
    """Code of the user's that could not be run, or that does not do what it should.

    Attributes
    ----------
    where
        The file, and the line if it is known; or the entry point.
    what
        What is wrong, in words.
    """

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where, self.what = where, what


@dataclass(frozen=True)
class ModelFile:
    """A file that registers models, as text, so that it can be run on a machine that does not have the file.

    Attributes
    ----------
    path
        Where it was read; only for messages.
    source
        Its Python source.
    """

    path: str
    source: str

    @property
    def module(self) -> str:
        """The name of its module. It follows from the text, so the same file is run once per process."""
        return f"mer_model_file_{hashlib.sha256(self.source.encode()).hexdigest()[:12]}"


class _TextLoader(ExecutionLoader):
    """Runs a module from text, and lets :mod:`inspect` and tracebacks see the text."""

    def __init__(self, file: ModelFile) -> None:
        self._file = file

    def get_source(self, fullname: str) -> str:
        return self._file.source

    def get_filename(self, fullname: str) -> str:
        return self._file.path

    def is_package(self, fullname: str) -> bool:
        return False


def run_file(file: ModelFile) -> None:
    """Run a model file; what it registers is in the registry afterwards. A second call with the same text does nothing.

    Raises
    ------
    BrokenModelFile
        With file and line, if it raises.
    """
    if file.module in sys.modules:
        return
    loader = _TextLoader(file)
    spec = ModuleSpec(file.module, loader, origin=file.path)
    spec.has_location = True  # gives the module its `__file__`
    module = module_from_spec(spec)
    sys.modules[file.module] = module  # dataclasses look their module up while it is run
    try:
        _told(file.path, lambda: loader.exec_module(module))
    except BrokenModelFile:
        del sys.modules[file.module]
        raise


def packages() -> list[EntryPoint]:
    """What the installed packages name as entry points of the group ``mer.models``, by name."""
    from importlib.metadata import entry_points  # what every command imports is to be quick

    return sorted(entry_points(group=GROUP), key=lambda entry: entry.name)


def run_packages() -> None:
    """Import what the installed packages name as entry points of the group ``mer.models``; importing registers.

    Raises
    ------
    BrokenModelFile
        With the entry point and its package, if the import fails.
    """
    for one in packages():
        package = f" of {one.dist.name}" if one.dist else ""
        _told(f"entry point {one.name} = {one.value}{package}", one.load)


def locate(error: BaseException, path: str) -> str:
    """Where in a file an error came from, as ``mine.py, line 7, "x = 1 / 0"``; only the file if it is not in it."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"{path}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f'{path}, line {frames[-1].lineno}, "{frames[-1].line}"' if frames else path


def _told(where: str, run: Callable[[], object]) -> None:
    """Run the user's code; whatever it raises is told in one line, also that it wants to end the whole program."""
    try:
        run()
    except (Exception, SystemExit) as error:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        raise BrokenModelFile(locate(error, where), f"{type(error).__name__}: {text}") from error
