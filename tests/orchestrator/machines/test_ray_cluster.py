"""Joining clusters: what they have, what is refused and when, and the page of the dashboard. No Ray is started."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mer_data.problems import BadInput, Problem
from orchestrator.machines import code_version, ray_cluster, ray_internals
from orchestrator.machines.ray_cluster import Cluster, dashboard
from orchestrator.machines.resources import Resources

MACHINES: list[dict[str, Any]] = [
    {"Alive": True, "Resources": {"CPU": 2.0}},
    {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0}},
    {"Alive": True, "Resources": {"CPU": 16.0}},
    {"Alive": False, "Resources": {"CPU": 64.0}},
]


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A cluster of three machines, one of them with a GPU, that this process can join; none of it is real."""
    monkeypatch.setattr(ray_cluster, "started_cluster", lambda: "10.0.0.1:6379")
    monkeypatch.setattr(ray_cluster, "start", lambda cpus: True)
    monkeypatch.setattr(ray_cluster, "ask_machines", lambda: [("one", {"torch": "1"}), ("two", {"torch": "1"})])
    monkeypatch.setattr(code_version, "what_runs", lambda: {"torch": "1"})
    monkeypatch.setattr("ray.get", lambda answers: answers)
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 26.0, "GPU": 1.0})
    monkeypatch.setattr("ray.nodes", lambda: MACHINES)
    monkeypatch.setattr("ray.shutdown", lambda: None)
    return monkeypatch


def test_cores_of_machines_without_a_gpu_are_counted(standing: pytest.MonkeyPatch) -> None:
    with Cluster() as cluster:
        assert cluster.resources == Resources(26, 1.0, 18, machines=3)


def test_those_of_a_growing_cluster_are_counted_too(standing: pytest.MonkeyPatch, tmp_path: Path) -> None:
    standing.setenv("HOME", str(tmp_path))
    (tmp_path / "ray_bootstrap_config.yaml").write_text(
        "available_node_types:\n"
        "  gpu: {max_workers: 4, resources: {CPU: 8, GPU: 2}}\n"
        "  plain: {max_workers: 3, resources: {CPU: 32}}\n"
    )
    with Cluster() as cluster:
        assert cluster.resources == Resources(128, 8.0, 96, machines=3)


def test_machines_that_have_not_joined_are_counted(standing: pytest.MonkeyPatch, tmp_path: Path) -> None:
    standing.setenv("HOME", str(tmp_path))
    file = tmp_path / "ray_bootstrap_config.yaml"
    file.write_text("provider: {type: local, head_ip: a, worker_ips: [b, c, d, e]}\n")
    with Cluster() as cluster:
        assert cluster.resources == Resources(26, 1.0, 18, machines=3, absent=2)


def test_machines_are_asked_before_anybody_needs_the_answer(standing: pytest.MonkeyPatch) -> None:
    events = []
    standing.setattr(ray_cluster, "ask_machines", lambda: events.append("asked") or [("one", {"torch": "1"})])
    standing.setattr("ray.get", lambda answers: events.append("waited") or answers)
    with Cluster() as cluster:
        assert events == ["asked"]
        assert cluster.resources.cpus == 26
    assert events == ["asked", "waited"]


def test_a_machine_with_another_library_is_refused(standing: pytest.MonkeyPatch) -> None:
    standing.setattr(ray_cluster, "ask_machines", lambda: [("one", {"torch": "1"}), ("two", {"torch": "0.9"})])
    with Cluster() as cluster, pytest.raises(BadInput, match=r"machine two: runs torch 0\.9, here 1"):
        _ = cluster.resources


def test_what_is_wrong_with_a_cluster_is_told_to_those_who_need_it(standing: pytest.MonkeyPatch) -> None:
    def refuse(cpus: int | None) -> bool:
        raise BadInput(Problem("Ray cluster 10.0.0.1:6379", "does not take the token"))

    standing.setattr(ray_cluster, "start", refuse)
    with Cluster():
        pass
    with Cluster() as cluster, pytest.raises(BadInput, match="does not take the token"):
        _ = cluster.resources


def test_where_no_cluster_stands_none_is_started_before_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "started_cluster", lambda: None)
    monkeypatch.setattr(ray_cluster, "start", lambda cpus: pytest.fail("a cluster was started"))
    with Cluster():
        pass


def test_the_code_of_a_process_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    monkeypatch.setattr(code_version, "code_version", lambda: str(looked.append(1) or len(looked)))
    code_version.what_runs.cache_clear()
    try:
        assert code_version.what_runs() == code_version.what_runs()
    finally:
        code_version.what_runs.cache_clear()
    assert len(looked) == 1


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """For changes of Ray's settings: at the end Ray, which reads them into C++, has those of the other tests again."""
    from ray._raylet import Config

    yield monkeypatch
    monkeypatch.undo()
    Config.initialize("")


@pytest.mark.parametrize("before", [None, "token"])
def test_knocking_leaves_the_settings_as_they_were(before: str | None, settings: pytest.MonkeyPatch) -> None:
    modes = []

    class Door:
        def __init__(self, address: str) -> None:
            modes.append(os.environ["RAY_AUTH_MODE"])
            os.write(2, b"a warning of a C library\n")
            raise RuntimeError("InvalidAuthToken: no")

    settings.setattr("ray._raylet.GcsClient", Door)
    settings.delenv("RAY_AUTH_MODE", raising=False)
    if before:
        settings.setenv("RAY_AUTH_MODE", before)
    assert ray_internals.knock("10.0.0.1:6379", "disabled") == "InvalidAuthToken: no"
    assert modes == ["disabled"]
    assert os.environ.get("RAY_AUTH_MODE") == before


def test_what_a_c_library_writes_while_knocking_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with ray_internals.silent():
        os.write(2, b"a warning\n")
    os.write(2, b"an error\n")
    assert capfd.readouterr().err == "an error\n"


@contextmanager
def page() -> Iterator[str]:
    """A stand-in for the dashboard: somebody who listens on the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_the_dashboards_address_is_told_if_somebody_answers_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    with page() as url:
        monkeypatch.setattr("ray._private.worker.get_dashboard_url", lambda: url)
        assert dashboard() == f"http://{url}"
    assert dashboard() is None
    for nothing in (None, ""):  # not installed, or not started
        monkeypatch.setattr("ray._private.worker.get_dashboard_url", lambda told=nothing: told)
        assert dashboard() is None


def test_over_ssh_the_dashboard_is_shown_where_one_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.7 40000 10.0.0.2 22")
    with page() as url:
        monkeypatch.setattr("ray._private.worker.get_dashboard_url", lambda: url)
        told, port = dashboard(), url.rpartition(":")[2]
    assert told is not None
    assert told.startswith(f"ssh -N -L {port}:{url} ")
    assert told.split()[4].endswith("@10.0.0.2")
    assert told.endswith(f"http://127.0.0.1:{port}")


def test_another_users_cluster_on_this_machine_is_not_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    with page() as url:
        (tmp_path / "ray/ray_current_cluster").write_text(url)
        assert ray_cluster.started_cluster() == url
        monkeypatch.setattr("os.getuid", lambda: 65534)
        assert ray_cluster.started_cluster() is None
