"""cluster/config.yaml against a stand-in for AWS that speaks its protocol, and whose instances are hosts made here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from cloud import Cloud
from hosts import LAB, Host, Lab
from moto import mock_aws

ROOT = Path(__file__).resolve().parents[2]


def test_ray_makes_of_the_cloud_file_what_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.autoscaler._private.aws import config as aws
    from ray.autoscaler._private.providers import _get_node_provider, _get_node_provider_cls
    from ray.autoscaler._private.util import prepare_config, validate_config

    monkeypatch.setenv("HOME", str(tmp_path))  # where Ray puts the key of the machines
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "tests")
    monkeypatch.setattr(aws.time, "sleep", lambda seconds: None)  # it waits for the real one's roles to spread
    with mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        ec2 = boto3.client("ec2", region_name="us-east-1")
        image = ec2.describe_images()["Images"][0]["ImageId"]
        text = (ROOT / "cluster/config.yaml").read_text(encoding="utf-8")
        config = prepare_config(yaml.safe_load(text.replace("ImageId: AMI", f"ImageId: {image}")))
        provider_class = _get_node_provider_cls(config["provider"])
        config = provider_class.fillout_available_node_types_resources(config)
        validate_config(config)
        config = provider_class.bootstrap_config(config)
        gpu = config["available_node_types"]["gpu"]
        assert gpu["resources"]["GPU"] == 1
        assert gpu["resources"]["CPU"] == 8

        provider = _get_node_provider(config["provider"], "mer")
        for kind, name in (("head", "head"), ("worker", "gpu")):
            tags = {"ray-node-type": kind, "ray-user-node-type": name, "ray-node-name": f"ray-mer-{kind}"}
            provider.create_node(config["available_node_types"][name]["node_config"], tags, 1)
        running = {
            one["InstanceType"]: one for group in ec2.describe_instances()["Reservations"] for one in group["Instances"]
        }
        assert running["g6.2xlarge"]["InstanceLifecycle"] == "spot"
        assert "InstanceLifecycle" not in running["m7i.large"]
        assert running["g6.2xlarge"]["IamInstanceProfile"]["Arn"].endswith("/ray-autoscaler-v1")
        assert open_ports(ec2) == {22}


def open_ports(ec2: Any) -> set[int]:
    """The ports that the whole internet can reach, of the group that Ray makes for the cluster."""
    groups = [one for one in ec2.describe_security_groups()["SecurityGroups"] if one["GroupName"].startswith("ray-")]
    return {rule.get("FromPort", -1) for group in groups for rule in group["IpPermissions"] if rule["IpRanges"]}


def test_the_page_is_followed_from_nothing_to_a_leaderboard(
    lab: Lab, laptop: Host, alone: dict[str, str], aws: Path
) -> None:
    # What the page tells to fill in; and idle machines go sooner, since the test waits for it.
    image = "import boto3; print(boto3.client('ec2').describe_images()['Images'][0]['ImageId'])"
    fill = "s#ImageId: AMI#ImageId: $image#; s#BUCKET#lab#g; s#^idle_timeout_minutes: .*#idle_timeout_minutes: 0.5#"
    laptop.run(f'image=$(python -c "{image}"); sed -i "{fill}" mer/cluster/config.yaml')
    (lab.folder / "cloud.yaml").write_text((lab.folder / "longer.yaml").read_text() + "device: cpu\n")
    out = "s3://lab/runs/blobs"
    mer = "cd mer && python -m orchestrator.cli.commands"

    def running_folds() -> int:
        told = laptop.run(f"{mer} status --json {out}", ok=False).stdout
        return int(json.loads(told)["jobs"]["running"]) if told else 0

    with Cloud(lab) as cloud:
        laptop.run("cd mer && RAY_USAGE_STATS_ENABLED=0 ray up -y cluster/config.yaml")
        (head,) = cloud.running
        assert cloud.kinds == {head: ("m7i.large", None)}

        run = laptop.start(f"cd mer && ray submit cluster/config.yaml orchestrator/run_all.py -- {LAB}/cloud.yaml")
        wait_until(lambda: running_folds() > 0)
        assert run.poll() is None, run.communicate()[0]
        taken = next(name for name in cloud.running if name != head)
        cloud.take_back(taken)
        told = run.communicate(timeout=600)[0]
        assert run.returncode == 0, told
        # It counts on what it may grow to, machines come, and the folds of the one that was taken back are repeated.
        assert "counting on 32 cores and 4 GPUs" in told
        assert "a worker was lost" in told, told
        workers = {kind for name, kind in cloud.kinds.items() if name != head}
        assert workers == {("g6.2xlarge", "spot")}
        assert len(cloud.kinds) > 2

        # Without work they go, and only the head is left to pay for.
        wait_until(lambda: set(cloud.running) == {head})
        assert laptop.run(f"{mer} score --json {out}").stdout == alone["longer"]
        laptop.run("cd mer && ray down -y cluster/config.yaml")
        wait_until(lambda: not cloud.running)
    assert laptop.run(f"{mer} score --json {out}").stdout == alone["longer"]


def wait_until(happened: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.5)
