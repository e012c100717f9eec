"""The cluster file is one that Ray accepts, and mounts what is there."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def test_the_config_is_valid_and_mounts_the_project(ray_session: None) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((ROOT / "cluster/config.yaml").read_text(encoding="utf-8"))
    validate_config(prepare_config(config))
    assert config["file_mounts"]["~/mer"] == "."
    assert any("~/mer/constraints.txt" in command for command in config["setup_commands"])
    assert (ROOT / "constraints.txt").is_file()
