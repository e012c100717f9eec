"""The JSON Schema of experiment files accepts what is accepted, and refuses what is refused."""

import copy
import json
from importlib import resources
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from mer_models.spec import models
from orchestrator.cli import commands as cli
from orchestrator.experiment.config import Experiment, presets
from orchestrator.experiment.schema import experiment_schema

PRESETS = resources.files("orchestrator.experiment") / "presets"
LEAST: dict[str, Any] = {"name": "t", "datasets": "casme2", "models": "ststnet"}
ACCEPTED = [
    {"datasets": ["casme2", {"name": "both", "union": ["casme2", "samm"], "clip_list": "megc2019"}]},
    {"datasets": {"name": "casme2", "classes": "native", "union": None}},
    {"datasets": {"name": "one", "union": "casme2"}},
    {"datasets": "all", "models": "all"},
    {"models": ["mine", "majority"], "plugins": "mine.py"},
    {"models": ["mine"], "plugins": ["mine.py", "other.py"]},
    {"seeds": 3},
    {"seeds": [0, "1"]},
    {"recipes": {"ststnet": {"lr": "1e-4", "epochs": 5}, "all": {"optimizer": "sgd"}, "mine": {"keep_every": 2}}},
    {"search": {}},
    {"search": None},
    {"search": {"groups": "subjects", "sampler": "random", "hours": "0.5", "race": False}},
    {"search": {"space": {"ststnet": {"lr": ["1e-4", 1e-3], "batch_size": {"low": 8, "high": 32, "log": True}}}}},
    {"fold_minutes": None, "retries": 2, "weights": True, "device": "both", "store": "s3://bucket/store"},
]
REFUSED = [
    {"model": "ststnet"},
    {"datasets": []},
    {"datasets": [{"name": "a", "class": "native"}]},
    {"models": 7},
    {"seeds": -1},
    {"seeds": "first"},
    {"protocol": "kfold"},
    {"search": {"groups": 1}},
    {"search": {"space": {"ststnet": {"lr": {"low": 1e-4, "hihg": 1}}}}},
    {"retries": -1},
    {"fold_minutes": 0},
]
REFUSED_LATER = [  # by the resolver, which knows the store and the models' recipes
    {"datasets": {"name": "a", "clip_list": "megc"}},
    {"recipes": {"ststnet": {"epoch": 5}}},
    {"recipes": {"ststnet": {"optimizer": "adamw"}}},
    {"search": {"space": {"ststnet": {"keep_every": [1]}}}},
]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    made = experiment_schema(list(models()))
    jsonschema.Draft202012Validator.check_schema(made)
    return made


def accepts(schema: dict[str, Any], changes: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid({**LEAST, **changes}))


@pytest.mark.parametrize("changes", ACCEPTED)
def test_what_is_accepted(schema: dict[str, Any], changes: dict[str, Any]) -> None:
    Experiment.model_validate(copy.deepcopy({**LEAST, **changes}))
    assert accepts(schema, changes)


@pytest.mark.parametrize("changes", REFUSED)
def test_what_is_refused(schema: dict[str, Any], changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Experiment.model_validate(copy.deepcopy({**LEAST, **changes}))
    assert not accepts(schema, changes)


@pytest.mark.parametrize("changes", REFUSED_LATER)
def test_what_is_refused_later(schema: dict[str, Any], changes: dict[str, Any]) -> None:
    assert not accepts(schema, changes)


@pytest.mark.parametrize("name", presets())
def test_presets_are_of_the_schema_and_name_it(schema: dict[str, Any], name: str) -> None:
    text = (PRESETS / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=experiment.schema.json\n")
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))


def test_every_key_has_a_description(schema: dict[str, Any]) -> None:
    definitions = schema["$defs"]
    for properties in (
        schema["properties"],
        definitions["DatasetChoice"]["properties"],
        definitions["Search"]["properties"],
        schema["properties"]["recipes"]["properties"]["ststnet"]["properties"],
    ):
        assert [name for name, field in properties.items() if not field.get("description")] == []


def test_the_command_proposes_models_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["schema"])
    printed = json.loads(capsys.readouterr().out)
    assert "ststnet" in json.dumps(printed["properties"]["models"])
    assert "lr" in printed["properties"]["recipes"]["properties"]["htnet"]["properties"]
