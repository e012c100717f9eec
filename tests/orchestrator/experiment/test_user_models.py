"""Models of the user's own: from a file, from a package, on workers that have neither, and with mistakes in them."""

import importlib.metadata
import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from workers import run_here

from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_models import spec as registry
from mer_models.plugins import BrokenModelFile, ModelFile
from mer_models.spec import models
from orchestrator.cli import commands as cli
from orchestrator.experiment import user_models
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.output.ledger import Ledger
from orchestrator.sweep.dispatcher import Dispatcher
from orchestrator.sweep.trial import find_model

PAGE = (Path(__file__).resolve().parents[3] / "docs/add-a-model.md").read_text(encoding="utf-8")
GOOD = """\
from torch import nn
from mer_models import train
from mer_models.spec import InputSpec, ModelSpec, Recipe, register
def build(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 28 * 28, classes))
INPUT = InputSpec("flow_uvs_28", ("u", "v", "strain"), (28, 28), bytes=True)
register(ModelSpec("mine", "none", (INPUT,), Recipe(epochs=1), train.fit, build))
"""


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it."""
    dict(models())  # what a test imports first would be forgotten with it
    monkeypatch.setattr(registry, "REGISTRY", dict(registry.REGISTRY))
    monkeypatch.setattr(registry, "REGISTERED_BY", dict(registry.REGISTERED_BY))
    monkeypatch.setattr(user_models, "READ", {})
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("mer_model_file_", "my_package")):
            del sys.modules[name]


def mer(*arguments: str | Path) -> int:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(one) for one in arguments])
    return int(stopped.value.code or 0)


def block(language: str) -> str:
    """The first block of a language on the page."""
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def digest_of(text: str) -> str:
    """The code digest of ``mine`` in a process of its own, as far as the registry goes."""
    registry.REGISTRY.pop("mine", None)
    user_models.use([ModelFile("mine.py", text)])
    return models()["mine"].code_digest()


@pytest.mark.pages
def test_the_page_can_be_followed_to_the_letter(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = block("python")
    assert code.count("\n") <= 40
    Path("mine.py").write_text(code)
    Path("mine.yaml").write_text(block("yaml"))
    for line in block("sh").splitlines():
        command, *arguments = shlex.split(line)
        assert command == "mer"
        capsys.readouterr()
        assert mer(*arguments) == 0, capsys.readouterr().err
    # The table of the last command, and that the workers, which share nothing with this process, knew the model.
    assert capsys.readouterr().out.count("casme2/") >= 9
    plan = Plan.load(Path("runs/mine/plan.json"))
    assert plan.model_files == (ModelFile("mine.py", code),)
    assert len(list(Path("runs/mine/ledger").glob("*.arrow"))) == len(plan.jobs) == 6


def test_a_file_is_one_of_the_models_of_a_plan(blob_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    chosen = Experiment.model_validate(
        {"name": "t", "datasets": ["blobs"], "models": ["mine"], "plugins": str(path), "store": str(blob_store.root)}
    )
    plan = make_plan(resolve(chosen, blob_store))
    assert {job.model for job in plan.jobs} == {"mine"}
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    assert Dispatcher(plan, tmp_path / "ledger").take(plan.jobs[0].id).model_files == (ModelFile(str(path), GOOD),)


def test_an_output_folder_is_read_and_its_code_never_run(
    blob_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan(
        resolve(Experiment.model_validate({"name": "t", "datasets": ["blobs"], "models": ["majority"]}), blob_store)
    )
    trap = ModelFile("mine.py", f"open({str(tmp_path / 'trap')!r}, 'w')")
    foreign = replace(plan, model_files=(trap,), recipes={**plan.recipes, "mine": plan.recipes["majority"]})
    foreign.save(tmp_path / "plan.json")
    assert mer("track", "sync", tmp_path) == 2
    assert "unknown model mine (give the file that registers it with --models" in capsys.readouterr().err
    mer("status", tmp_path)
    mer("score", tmp_path, "--partial")
    assert not (tmp_path / "trap").exists()


def test_weights_that_a_training_function_keeps_to_itself_are_a_failure(blob_store: Store, tmp_path: Path) -> None:
    text = GOOD.replace("train.fit, build", "fit, build").replace(
        "def build", "def fit(*told):\n    return replace(train.fit(*told), state=None)\ndef build"
    )
    (tmp_path / "mine.py").write_text("from dataclasses import replace\n" + text)
    settings = {"name": "t", "datasets": "blobs", "models": "mine", "plugins": str(tmp_path / "mine.py")}
    for weights in (True, False):
        plan = make_plan(resolve(Experiment.model_validate({**settings, "weights": weights}), blob_store))
        run_here(Dispatcher(plan, tmp_path / "ledger"), plan.jobs[0])
        failures = Ledger(tmp_path / "ledger").failures()
        assert ["gives no weights" in reason for reason in failures.values()] == [True] * weights


def test_the_files_code_is_part_of_the_job_and_its_remarks_are_not() -> None:
    first = digest_of(GOOD)
    assert digest_of("# a remark\n" + GOOD) == first
    assert digest_of(GOOD.replace("nn.Flatten(), ", "nn.Flatten(), nn.Dropout(0.1), ")) != first
    # A network that another library builds: what the file itself says still counts.
    elsewhere = GOOD.replace("train.fit, build)", "train.fit, partial(build))") + "# partial\n"
    other = digest_of("from functools import partial\n" + elsewhere)
    assert digest_of("from functools import partial\n" + elsewhere.replace("Linear(3", "Linear(1 + 2")) != other


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import torch\nx = (1\n", r"mine\.py, line 2: SyntaxError"),
        ("import torch\nx = undefined\n", r'mine\.py, line 2, "x = undefined": NameError'),
        ("import no_such_library\n", r"mine\.py, line 1, .*ModuleNotFoundError"),
        ("x = 1\n", r"mine\.py: registers no model"),
        (GOOD.replace('"mine"', '"ststnet"'), r"mine\.py, line 7, .*model ststnet is registered twice"),
        (GOOD.replace('"mine"', '"../mine"'), r"mine\.py, line 7, .*letters, digits"),
        (GOOD.replace('"strain"', '"strian"'), r"mine\.py, mine, flow_uvs_28: .* no channel 'strian' .*mean 'strain'"),
        (GOOD.replace("(28, 28)", "(14, 14)"), r"mine\.py, mine, flow_uvs_28: the feature has the size \(28, 28\)"),
        (GOOD.replace("nn.Linear", "nn.Conv2d"), r"mine\.py, line 5, .*mine does not take one clip of shape \[3, 28"),
        (GOOD.replace("3 * 28 * 28", "7"), r"mine\.py: mine does not take one clip of shape \[3, 28, 28\]: RuntimeErr"),
    ],
)
def test_mistakes_are_told_with_file_and_line(
    tmp_path: Path, text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    assert mer("models", "--models", path) == 2
    heard = capsys.readouterr().err
    assert re.search(told, heard), heard
    assert heard.count("\n") <= 3


def test_a_file_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("models", "complexity"):
        assert mer(command, "--models", tmp_path / "none.py") == 2
        assert "none.py: no such model file" in capsys.readouterr().err


def test_cards_and_complexity_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    for command in ("models", "complexity"):
        capsys.readouterr()
        assert mer(command, "mine", "--models", path, "--json") == 0
        assert json.loads(capsys.readouterr().out)["rows"][0]["params"] == 3 * 28 * 28 * 3 + 3


def test_a_worker_that_cannot_run_a_file_says_so() -> None:
    with pytest.raises(BadInput, match=r"mine.py, line 1, .*ModuleNotFoundError: No module named 'only_on_the_head'"):
        user_models.use([ModelFile("mine.py", "import only_on_the_head\n")])


def test_a_worker_without_a_package_says_so(blob_store: Store, tmp_path: Path) -> None:
    chosen = Experiment.model_validate({"name": "t", "datasets": ["blobs"], "models": ["majority"]})
    plan = make_plan(resolve(chosen, blob_store))
    work = Dispatcher(plan, tmp_path / "ledger").take(plan.jobs[0].id)
    with pytest.raises(BadInput, match=r"model packaged: is not known on .*install the package"):
        find_model(replace(work, model="packaged"))


def package(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    """A package ``my_package`` on the path, with an entry point."""
    (folder / "my_package").mkdir()
    for name, text in files.items():
        (folder / "my_package" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    points = EntryPoints([EntryPoint("mine", "my_package.models", "mer.models")])
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points.select(group=group))
    registry.import_packages.cache_clear()
    importlib.invalidate_caches()


def test_an_installed_package_brings_its_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head, rest = GOOD.split("def build")
    network = "from torch import nn\ndef build" + rest.split("INPUT")[0]
    card = head + "from .network import build\nINPUT" + rest.split("INPUT", 1)[1]
    package(tmp_path, monkeypatch, __init__="", models=card, network=network)
    digest = models()["mine"].code_digest()
    (tmp_path / "my_package/network.py").write_text(network.replace("28 * 28", "784"))
    assert models()["mine"].code_digest() != digest  # the network's module counts, not only the card's


def test_a_broken_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package(tmp_path, monkeypatch, __init__="", models="import no_such_library\n")
    assert mer("models") == 2
    assert "entry point mine = my_package.models: ModuleNotFoundError" in capsys.readouterr().err
    with pytest.raises(BrokenModelFile):
        models()
