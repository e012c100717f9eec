"""Ray on this machine for one run alone: nobody else can reach it, and nothing of it is left afterwards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mer_data.problems import BadInput, Problem
from orchestrator.machines.private_session import PrivateSession, address_space, open_session, quoted_python
from orchestrator.machines.ray_internals import log_folder, on_loopback

_TOKEN = ("RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE")
_SMALL_STORE = 10**9  # bytes of the object store where address space is short: each process maps all of it
_open: list[PrivateSession] = []
_before: dict[str, str | None] = {}


def start_local(cpus: int | None, **settings: Any) -> None:
    """Start Ray in a private folder, on loopback, with a token of its own.

    Parameters
    ----------
    cpus
        Cores; all of the machine's if None.
    settings
        More for ``ray.init``.

    Raises
    ------
    BadInput
        If it does not start, the second time either.
    """
    for last in (False, True):  # on a machine that is busy it takes longer than Ray waits
        try:
            _start(cpus, settings)
        except BadInput:
            raise
        except Exception as error:
            log = keep_log() if last else None
            stop_local()
            if last:
                first = (str(error).strip() or type(error).__name__).splitlines()[0]
                remedy = f"if this machine is busy, start it again later; Ray's log: {log}"
                raise BadInput(Problem("Ray", f"does not start on this machine: {first}", remedy)) from error
        else:
            return


def _start(cpus: int | None, settings: dict[str, Any]) -> None:
    import ray

    session = open_session()
    _open.append(session)
    _before.update({name: os.environ.get(name) for name in _TOKEN})
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(session.token)
    if (python := quoted_python()) is not None:
        settings = {**settings, "runtime_env": {"py_executable": python}}
    if address_space() is not None:
        settings = {**settings, "object_store_memory": _SMALL_STORE}
    with on_loopback():
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, _temp_dir=str(session.rays), **settings)


def stop_local() -> None:
    """Stop Ray and remove its folder; nothing if it was not started here."""
    import ray

    ray.shutdown()
    while _open:
        _open.pop().close()
    while _before:
        name, value = _before.popitem()
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def keep_log() -> Path:
    """Where the running Ray's log is, for a message; where it is a private one, it is kept for a day."""
    return _open[-1].keep_log() if _open else log_folder()
