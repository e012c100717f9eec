"""The Python interface: results as Arrow tables that say what the commands say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ledgers import commit, knowing, plan_for

import orchestrator as mer
from mer_data.problems import BadInput
from mer_data.storage.store import Store
from orchestrator.cli.commands import main
from orchestrator.output.ledger import Ledger

NOTEBOOK = Path(__file__).parents[2] / "docs/notebook.ipynb"
SKILLS = {"ststnet": 0.9, "off_apexnet": 0.6}


@pytest.fixture
def out(blob_store: Store, tmp_path: Path) -> Path:
    plan = plan_for(blob_store, models=list(SKILLS), seeds=[0, 1])
    plan.save(tmp_path / "out" / "plan.json")
    commit(plan, Ledger(tmp_path / "out/ledger"), knowing(SKILLS))
    return tmp_path / "out"


def test_tables_say_what_the_commands_say(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = mer.open(out)
    with pytest.raises(SystemExit):
        main(["score", str(out), "--json"])
    told = json.loads(capsys.readouterr().out)
    scores = opened.scores().to_pylist()
    assert [row["uf1"] for row in scores] == [row["uf1"] for row in told["rows"]]
    assert opened.predictions().num_rows == 2 * 2 * 24, "models, seeds, clips"
    right = [row for row in opened.predictions().to_pylist() if row["true"] == row["predicted"]]
    assert sum(opened.per_subject()["correct"].to_pylist()) == len(right)
    assert set(opened.per_class()["class"].to_pylist()) == {"negative", "positive", "surprise"}
    (pair,) = opened.compare(reference="ststnet").to_pylist()
    assert (pair["model"], pair["reference"], pair["family"]) == ("off_apexnet", "ststnet", 1)


def test_a_folder_without_results_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"plan\.json"):
        mer.open(tmp_path)


def test_values_of_an_experiment_are_changed_by_dotted_keys() -> None:
    loaded = mer.load_experiment("demo", {"seeds": [3, 4], "recipes.ststnet.epochs": 7})
    assert loaded.seeds == [3, 4]
    assert loaded.recipes["ststnet"]["epochs"] == 7


def test_importing_it_imports_nothing_heavy() -> None:
    code = "import sys, orchestrator\nprint([n for n in ('torch', 'ray', 'pyarrow', 'numpy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.pages
def test_the_notebook_runs_from_its_first_cell_to_its_last(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell["outputs"] for cell in cells if cell["cell_type"] == "code"), "no results of a machine are kept"
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)  # noqa: S102 - a page of ours
    assert names["counts"].sum() == 2 * len(names["results"].plan.datasets["twin"].cohort.clip_ids)  # type: ignore[attr-defined]


def test_no_module_takes_the_place_of_a_function() -> None:
    """Importing a module of a package sets a name in it: `mer.run` must be the function also after the first call."""
    code = "import orchestrator as mer, orchestrator.whole_run, orchestrator.report.opened\nprint(callable(mer.run))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
    taken = {path.stem for path in Path(mer.__file__).parent.iterdir()}
    assert not taken & set(mer.__all__)
