"""The cluster files are ones that Ray accepts, mount what is there, and bound what they can cost."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def read(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((ROOT / "cluster" / name).read_text(encoding="utf-8"))
    return config


@pytest.mark.parametrize("name", ["config.yaml", "on-prem.yaml"])
def test_the_file_is_valid_and_mounts_the_project(ray_session: None, name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = read(name)
    validate_config(prepare_config(config))
    for there, here in config["file_mounts"].items():
        if not here.startswith("~"):
            assert (ROOT / here).exists(), here
            assert there == f"~/mer/{here}"
    # What pip installs the project from is all there.
    assert {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"} < set(config["file_mounts"].values())


@pytest.mark.parametrize("name", ["config.yaml", "on-prem.yaml"])
def test_ray_starts_with_the_token_or_not_at_all(name: str) -> None:
    config = read(name)
    assert "~/.ray/auth_token" in config["file_mounts"]
    starts = [
        command
        for key in ("head_start_ray_commands", "worker_start_ray_commands")
        for command in config[key]
        if "ray start" in command
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token ray start" in command for command in starts)
    assert not any("dashboard-host" in command for command in starts)


def test_the_cloud_file_bounds_what_it_can_cost() -> None:
    config = read("config.yaml")
    head, gpu = (config["available_node_types"][name] for name in ("head", "gpu"))
    assert config["idle_timeout_minutes"] <= 10
    assert gpu["min_workers"] == 0
    assert gpu["max_workers"] == config["max_workers"]
    assert gpu["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    # The head holds the results of a running sweep: it is not one that can be taken back, and does not train.
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["resources"] == {"CPU": 0}


def test_the_kubernetes_job_uses_the_image_and_ends() -> None:
    spec = read("rayjob.yaml")["spec"]
    cluster = spec["rayClusterSpec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["activeDeadlineSeconds"] > 0
    assert cluster["authOptions"] == {"mode": "token"}
    assert f"ray=={cluster['rayVersion']}" in (ROOT / "constraints.txt").read_text()
    dockerfile = (ROOT / "cluster/Dockerfile").read_text()
    project = next(line for line in dockerfile.splitlines() if "MER_PROJECT=" in line).split("=")[1].split()[0]
    assert spec["entrypoint"].startswith(f"python {project}/orchestrator/run_all.py ")
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = {container["image"] for pod in pods for container in pod["template"]["spec"]["containers"]}
    assert len(images) == 1
    for words in (line.split() for line in dockerfile.splitlines() if line.startswith("COPY")):
        assert all((ROOT / word).exists() for word in words[1:-1]), words


def test_over_ssh_the_page_of_mlflow_is_shown_where_one_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.report.mlflow_mirror.page import ui_command

    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert "ssh" not in ui_command(tmp_path / "runs" / "x").split()
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.7 40000 10.0.0.2 22")
    program, *options, remote = shlex.split(ui_command(tmp_path / "runs" / "x"))
    assert program == "ssh"
    assert options[:3] == ["-t", "-L", "5000:127.0.0.1:5000"]
    assert options[3].endswith("@10.0.0.2")
    program, *rest = shlex.split(remote)
    assert Path(program).is_absolute()  # ssh gives no login shell, so nothing is on the path
    assert rest == ["ui", str(tmp_path / "runs" / "x")]


def test_gpus_count_that_a_growing_cluster_does_not_have_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.machines.resources import count

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 2.0})
    monkeypatch.setattr("ray.nodes", list)
    assert count(standing=True).gpus == 0
    config = read("config.yaml")
    # Ray fills in what the machines have, and that a head is no worker, when it brings the file to the head.
    config["available_node_types"]["gpu"]["resources"] = {"CPU": 8, "GPU": 1}
    config["available_node_types"]["head"]["max_workers"] = 0
    (tmp_path / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(config))
    grown = count(standing=True)
    assert (grown.cpus, grown.gpus) == (32, 4)
