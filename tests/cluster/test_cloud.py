"""A dry run of cluster/config.yaml: Ray's launcher against a stand-in for AWS that speaks its protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
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
