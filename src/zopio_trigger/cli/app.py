"""The user's app: which code `dev` is told to run, how it is imported, and imported again when it has changed.

An import that fails leaves everything as it was: the old code goes on until the new one can be imported.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import linecache
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

import zopio_trigger
from zopio_trigger.errors import ConfigurationError, ZopioTriggerError
from zopio_trigger.sdk.client import TriggerClient
from zopio_trigger.sdk.default import client as default_client
from zopio_trigger.sdk.job import JobDefinition

_OUR_FOLDER: Final = Path(zopio_trigger.__file__).parent
_LIBRARIES: Final = frozenset({"site-packages", "dist-packages"})

NO_JOBS: Final = """{name} defines no jobs; define one, for example:

    from zopio_trigger import client

    @client.job(id="hello", trigger=client.triggers.event(name="hello.said"))
    async def hello(payload, io):
        await io.logger.info("Hello", {{"payload": payload}})"""


class AppBroken(ZopioTriggerError):
    """The app cannot be used as it is. `details` is the user's part of a traceback, when there is one."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class Loaded(NamedTuple):
    """What an app has when it is imported."""

    clients: tuple[TriggerClient, ...]
    jobs: dict[str, JobDefinition]

    @property
    def shown_jobs(self) -> list[JobDefinition]:
        """The jobs people know of: without the hooks of others."""
        return [job for job in self.jobs.values() if not job.internal]


class App:
    """One app as named on the command line: `app.py`, `pkg.mod` or `pkg.mod:client`.

    Attributes:
        name: as messages call it.
        folder: where its modules are found: the first folder up from it that is not a package.

    Raises:
        ConfigurationError: there is no such file or module.
    """

    def __init__(self, target: str, folder: Path) -> None:
        place, _, self._client_name = target.partition(":")
        if place.endswith(".py") or "/" in place or "\\" in place:
            self.folder, self._module = _place_of_file(folder / place, place)
            self.name = place
        else:
            self.folder, self._module = folder, place
            self.name = place
        self._file = self.folder / Path(*self._module.split(".")).with_suffix(".py")
        self._clients_before: tuple[TriggerClient, ...] = (default_client,)

    def load(self, changed: Iterable[Path] = ()) -> Loaded:
        """Import the app, from scratch when it was imported before.

        Parameters:
            changed: files that are known to have changed, so that no compiled older version of them is used.

        Raises:
            ConfigurationError: there is no module of this name.
            AppBroken: it cannot be imported, or has no jobs. What was imported before stays.
        """
        for file in changed:
            Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)
        old_modules = self._forget_modules()
        old_jobs = self._forget_jobs()
        try:
            with self._importing():
                module = importlib.import_module(self._module)
            loaded = self._found_in(module)
        except BaseException as error:
            self._forget_modules()
            sys.modules.update(old_modules)
            for client, jobs in old_jobs:
                client.jobs = jobs
            broken = self._broken(error)
            if broken is error:
                raise
            raise broken from error
        self._clients_before = loaded.clients
        return loaded

    def _broken(self, error: BaseException) -> BaseException:
        """What to say about an import that failed."""
        if isinstance(error, ZopioTriggerError) and not self.users_frames(error):
            return error
        if isinstance(error, ModuleNotFoundError) and f"{self._module}.".startswith(f"{error.name}."):
            return ConfigurationError(
                f"there is no module {self._module!r} in {self.folder}; name a file: app.py"
            )
        if not isinstance(error, Exception | SystemExit):  # Ctrl+C
            return error
        last = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
        return AppBroken(f"{self.name} could not be imported: {last}", self.users_traceback(error))

    def modules(self) -> dict[str, ModuleType]:
        """The user's modules that are imported now: those from the app's folder that are not libraries."""
        return {name: module for name, module in list(sys.modules.items()) if self._is_users(name, module)}

    def users_traceback(self, error: BaseException) -> str:
        """The traceback of an error without the frames of libraries."""
        trace = traceback.TracebackException.from_exception(error)
        trace.stack = traceback.StackSummary.from_list(self.users_frames(error))
        trace.__cause__ = trace.__context__ = None  # of those the frames would be library frames again
        return "".join(trace.format()).rstrip()

    def users_frames(self, error: BaseException) -> list[traceback.FrameSummary]:
        """The frames of an error's traceback that are in the app's own files."""
        frames = traceback.extract_tb(error.__traceback__)
        return [frame for frame in frames if self._is_own_file(Path(frame.filename))]

    # --- importing --------------------------------------------------------------------------------------------------

    @contextmanager
    def _importing(self) -> Iterator[None]:
        """Let the app's own modules be found first, and leave no compiled files that may be stale in a second."""
        if str(self.folder) not in sys.path:
            sys.path.insert(0, str(self.folder))
        importlib.invalidate_caches()
        linecache.checkcache()
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            yield
        finally:
            sys.dont_write_bytecode = writes

    def _forget_modules(self) -> dict[str, ModuleType]:
        """Take the user's modules out of `sys.modules`; returns them."""
        modules = self.modules()
        for name in modules:
            del sys.modules[name]
        return modules

    def _forget_jobs(self) -> list[tuple[TriggerClient, dict[str, JobDefinition]]]:
        """Take the user's jobs out of clients that outlive a new import, such as the default one; returns all."""
        before = [(client, client.jobs) for client in self._clients_before]
        for client, jobs in before:
            client.jobs = {id: job for id, job in jobs.items() if not self._is_users_job(job)}
        return before

    def _is_users_job(self, job: JobDefinition) -> bool:
        return job.source is None or self._is_own_file(Path(job.source.rpartition(":")[0]))

    def _is_users(self, name: str, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None)
        if name == "__main__" or name.partition(".")[0] == "zopio_trigger":
            return False
        if file is None:  # a namespace package has a path only
            return any(self._is_own_file(Path(place)) for place in list(getattr(module, "__path__", ()))[:1])
        return self._is_own_file(Path(file))

    def _is_own_file(self, file: Path) -> bool:
        if not file.is_relative_to(self.folder) or file.is_relative_to(_OUR_FOLDER):
            return False
        is_in_environment = file.is_relative_to(sys.prefix) and not self.folder.is_relative_to(sys.prefix)
        return not is_in_environment and _LIBRARIES.isdisjoint(file.parts)

    # --- what the app has -------------------------------------------------------------------------------------------

    def _found_in(self, module: ModuleType) -> Loaded:
        if module.__name__ in sys.stdlib_module_names or not self._is_expected(module):
            raise AppBroken(
                f"{self.name} has the name of another module, {module.__file__}; call it something else"
            )
        clients = self._clients(module)
        jobs: dict[str, JobDefinition] = {}
        for client in clients:
            for id, job in client.jobs.items():
                if id in jobs:
                    raise AppBroken(f"{self.name}: two clients define job {id!r}; give each an id of its own")
                jobs[id] = job
        if not jobs:
            raise AppBroken(NO_JOBS.format(name=self.name))
        return Loaded(tuple(clients), jobs)

    def _is_expected(self, module: ModuleType) -> bool:
        """False when the import found another module of this name. A module named with dots may be anywhere."""
        return not self._file.is_file() or module.__file__ == str(self._file)

    def _clients(self, module: ModuleType) -> list[TriggerClient]:
        """The named client, or every client that the user's modules have; the default one is always looked at."""
        if self._client_name:
            return [self._named_client(module)]
        found = {id(default_client): default_client}
        for users_module in [module, *self.modules().values()]:
            for value in list(vars(users_module).values()):
                if isinstance(value, TriggerClient):
                    found[id(value)] = value
        return list(found.values())

    def _named_client(self, module: ModuleType) -> TriggerClient:
        value = getattr(module, self._client_name, None)
        if isinstance(value, TriggerClient):
            return value
        known = [name for name, value in vars(module).items() if isinstance(value, TriggerClient)]
        raise AppBroken(
            f"{self.name} has no client {self._client_name!r}; "
            + (f"it has {', '.join(known)}" if known else "make one: client = TriggerClient('my-app')")
        )


def _place_of_file(file: Path, shown: str) -> tuple[Path, str]:
    """The folder to import from and the module's dotted name."""
    file = file.resolve()
    if not file.is_file():
        raise ConfigurationError(_no_file(file, shown))
    names = [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    if not all(name.isidentifier() for name in names):
        raise ConfigurationError(
            f"{shown} cannot be imported: {file.stem!r} is no name of a Python module; call it "
            f"{file.stem.replace('-', '_')}.py, say"
        )
    if len(names) == 1 and names[0] in sys.stdlib_module_names:
        raise ConfigurationError(f"{shown} has the name of a module of Python itself; call it app.py, say")
    return folder, ".".join(names)


def _no_file(file: Path, shown: str) -> str:
    """That there is no such file, and which there is."""
    siblings = [path.name for path in file.parent.glob("*.py")] if file.parent.is_dir() else []
    near = difflib.get_close_matches(file.name, siblings, n=1) or siblings[:1]
    hint = f"did you mean {near[0]}?" if near else "zopio-trigger init writes one to begin with"
    return f"there is no file {shown}; {hint}"
