"""What can be seen before anything is trained: more subjects and seeds show more, and what is promised is kept."""

from pathlib import Path

import numpy as np
import pytest
from ledgers import commit, knowing, plan_for
from simulated import composite_clips

from mer_data.problems import BadInput
from mer_data.storage.store import Store
from orchestrator.cli.commands import main
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.resolve import resolve
from orchestrator.output.ledger import Ledger
from orchestrator.report.comparison import Results
from orchestrator.report.power import power
from orchestrator.report.predictions import score_cells
from orchestrator.score.power import SEED_SD, assumed_error, seed_error


def test_more_subjects_show_smaller_differences() -> None:
    few = np.full((8, 3), 3)
    assert assumed_error(np.tile(few, (4, 1))) == pytest.approx(assumed_error(few) / 2, rel=0.15)


def test_clips_of_one_subject_say_less_than_clips_of_many() -> None:
    assert assumed_error(np.full((8, 3), 12)) > 1.2 * assumed_error(np.full((32, 3), 3))


def test_the_error_of_seeds_is_that_of_a_difference_of_means() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(0, 0.02, (2, 20_000, 5)).mean(-1)
    assert seed_error(0.02, 5) == pytest.approx((first - second).std(), rel=0.03)


def resolved(store: Store, **changes: object):  # type: ignore[no-untyped-def]
    keys = {"name": "t", "datasets": ["composite"], "models": ["majority", "chance"], **changes}
    return resolve(Experiment.model_validate(keys), store)


@pytest.fixture
def composite(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    with store.replacing("composite") as writer:
        writer.clips(composite_clips(), format_="test", frame_root=None)
    return store


def test_the_composite_has_errors_of_a_known_size_and_seeds_count(composite: Store) -> None:
    """Its 442 clips of 68 subjects: errors of differences on its published predictions are 0.02 to 0.03."""
    one = power(resolved(composite), None)["datasets"][0]
    assert (one["clips"], one["subjects"], one["family"]) == (442, 68, 1)
    assert 0.015 < one["subject_error"] < 0.035
    assert one["detectable_with_endless_seeds"] < one["detectable"]
    three = power(resolved(composite, seeds=[0, 1, 2]), None)["datasets"][0]
    assert three["detectable_with_endless_seeds"] < three["detectable"] < one["detectable"]


def test_errors_are_measured_on_results(blob_store: Store, tmp_path: Path) -> None:
    models = ["ststnet", "off_apexnet", "majority"]
    plan = plan_for(blob_store, models=models, seeds=[0, 1])
    ledger = Ledger(tmp_path / "ledger")
    commit(plan, ledger, knowing({"ststnet": 0.8, "off_apexnet": 0.5, "majority": 0.0}))
    results = Results("out", plan, score_cells(plan, ledger, partial=False))
    keys = {"name": "t", "datasets": ["blobs"], "models": models, "recipes": {"all": {"epochs": 1}}}
    row = power(resolve(Experiment.model_validate(keys), blob_store), results)["datasets"][0]
    assert row["subject_error_is"] == "measured: the median of 3 pairs of models in out"
    assert row["seed_error_is"] == "measured: 3 models with several seeds in out"
    assert row["seed_error"] != seed_error(SEED_SD, 1)
    with pytest.raises(BadInput, match="0 complete models on the clips of composite"):
        power(resolved(_with_composite(blob_store)), results)


def _with_composite(store: Store) -> Store:
    with store.replacing("composite") as writer:
        writer.clips(composite_clips(), format_="test", frame_root=None)
    return store


def test_the_command_says_it_in_words(composite: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(f"name: t\nstore: {composite.root}\ndatasets: composite\nmodels: [majority, chance]\n")
    with pytest.raises(SystemExit) as ended:
        main(["power", str(file)])
    assert ended.value.code in (0, None)
    printed = capsys.readouterr().out
    assert "is found in four of five cases" in printed
    assert "assumed" in printed
