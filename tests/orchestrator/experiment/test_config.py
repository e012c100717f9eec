"""Experiment files: what they can say, and how errors are told."""

from pathlib import Path

import pytest

from mer_data.problems import BadInput
from orchestrator.experiment import config

GOOD = """\
name: trial
datasets: [blobs]
models: [ststnet, majority]
recipes:
  ststnet:
    epochs: 5
"""


def write(folder: Path, text: str) -> str:
    path = folder / "experiment.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def failure(folder: Path, text: str, *changes: str) -> str:
    with pytest.raises(BadInput) as caught:
        config.load(write(folder, text), changes)
    return str(caught.value)


def test_a_file_and_its_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MER_STORE", "elsewhere")
    experiment = config.load(write(tmp_path, GOOD))
    assert experiment.datasets == [config.DatasetChoice(name="blobs", classes="3-class")]
    assert experiment.seeds == [0]
    assert experiment.store == "elsewhere"
    assert experiment.recipes == {"ststnet": {"epochs": 5}}


@pytest.mark.parametrize("name", config.presets())
def test_presets_can_be_loaded(name: str) -> None:
    assert config.load(name).name == name


def test_set_overrides_deep_keys_and_adds_new_ones(tmp_path: Path) -> None:
    changes = ["recipes.ststnet.epochs=7", "recipes.majority.epochs=1", "seeds=[1, 2]", "models=all"]
    experiment = config.load(write(tmp_path, GOOD), changes)
    assert experiment.recipes == {"ststnet": {"epochs": 7}, "majority": {"epochs": 1}}
    assert experiment.seeds == [1, 2]
    assert experiment.all_models
    assert not experiment.all_datasets


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD + "protocoll: loso\n", ["line 7", "unknown key 'protocoll'", "did you mean 'protocol'"]),
        (
            GOOD.replace("[blobs]", "[{name: blobs, clases: native}]"),
            ["line 2", "'clases'", "did you mean 'classes'"],
        ),
        (GOOD.replace("name: trial\n", ""), ["the key 'name' is missing"]),
        (GOOD + "name: again\n", ["line 7", "'name' is given twice"]),
        (GOOD + "device: gpu\n", ["line 7", "'gpu' is not known"]),
        (GOOD + "search: {sampler: tpee}\n", ["line 7", "'tpee' is not known", "did you mean 'tpe'"]),
        (GOOD + "gpu: {way: graf}\n", ["line 7", "'graf' is not known", "did you mean 'graph'"]),
        (GOOD + "gpu: {pack: many}\n", ["line 7", "must be a number from 1 to 32, or auto"]),
        (GOOD + "gpu: {pack: 33}\n", ["line 7", "must be a number from 1 to 32, or auto"]),
        (GOOD + "gpu: {way: plain, pack: 4}\n", ["line 7", "pack is for folds that are recorded"]),
        (GOOD + "gpu: {pak: 4}\n", ["line 7", "did you mean 'pack'"]),
        (GOOD + "search: {configuratons: 3}\n", ["line 7", "did you mean 'configurations'"]),
        (GOOD + "search: {space: {ststnet: {lr: {low: 1, high: 2, lgo: true}}}}\n", ["line 7", "lgo"]),
        (GOOD + "protocol: losso\n", ["line 7", "'losso' is not known", "loso"]),
        (GOOD + "seeds: [0, -1]\n", ["line 7", "seeds"]),
        (GOOD + "seeds: [0, 0]\n", ["line 7", "seeds: something is given twice"]),
        (GOOD.replace("[ststnet, majority]", "[1]"), ["line 3", "models.0: must be a text"]),
        (GOOD.replace("[blobs]", "[{name: a, classes: 3}]"), ["line 2", "datasets.0.classes"]),
        ("name: 2024-13-45\n", ["is not YAML"]),
        ("seeds: &a [*a]\n", ["is not YAML"]),
        (GOOD.replace("[ststnet, majority]", "[]"), ["line 3", "models"]),
        (GOOD.replace("trial", "../trial"), ["line 1", "name"]),
        ("name: [", ["is not YAML"]),
        ("- a\n- b\n", ["is not a mapping"]),
        ("", ["is not a mapping"]),
    ],
)
def test_errors_name_the_line_and_the_nearest_word(tmp_path: Path, text: str, told: list[str]) -> None:
    message = failure(tmp_path, text)
    assert "experiment.yaml" in message
    for part in told:
        assert part in message


def test_all_errors_are_told_together(tmp_path: Path) -> None:
    message = failure(tmp_path, GOOD + "device: gpu\nextra: 1\nseeds: []\n")
    assert [f"line {line}" in message for line in (7, 8, 9)] == [True, True, True]


def test_one_thing_stands_for_a_list_of_it(tmp_path: Path) -> None:
    experiment = config.load(write(tmp_path, "name: t\ndatasets: blobs\nmodels: ststnet\nseeds: 3\nstore: ~/x\n"))
    assert ([choice.name for choice in experiment.datasets], experiment.models) == (["blobs"], ["ststnet"])
    assert experiment.seeds == [3]
    assert experiment.store == str(Path.home() / "x")


def test_a_files_error_is_not_blamed_on_the_command_line(tmp_path: Path) -> None:
    message = failure(tmp_path, GOOD + "device: gpu\n", "devicex=1")
    assert "experiment.yaml, line 7: device: 'gpu' is not known" in message
    assert "--set devicex=1: unknown key 'devicex'" in message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("epochs", "not of the form key=value"),
        ("name.first=1", "'name' is not a mapping"),
        ("seeds=[", "not YAML"),
        ("protocoll=loso", "did you mean 'protocol'"),
        ("device=gpu", "'gpu' is not known"),
    ],
)
def test_errors_in_set_name_it(tmp_path: Path, change: str, told: str) -> None:
    message = failure(tmp_path, GOOD, change)
    assert f"--set {change}" in message
    assert told in message


def test_a_missing_file_lists_the_presets() -> None:
    with pytest.raises(BadInput, match=r"no such experiment file.*presets: all, demo, megc2019"):
        config.load("nowhere.yaml")
