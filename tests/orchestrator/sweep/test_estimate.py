"""A warning before days of training, and none before minutes."""

import pytest
from blobs import blob_clips, write_blobs

from mer_data.storage.store import Store
from orchestrator.console import Console
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.machines.resources import Resources
from orchestrator.sweep.estimate import training_seconds, warn_if_long


def plan(store: Store, **changes: object) -> Plan:
    keys = {"name": "t", "datasets": ["blobs"], "models": ["majority", "htnet"], **changes}
    return make_plan(resolve(Experiment.model_validate(keys), store))


@pytest.fixture
def with_mosaics(blob_store: Store) -> Store:
    from mer_data.features import FEATURES
    from orchestrator.precompute.missing import derive

    write_blobs(blob_store, "blobs", blob_clips())
    derive(blob_store, blob_store.dataset("blobs"), FEATURES["htnet_mosaic_28"])
    return blob_store


def test_only_long_training_on_processors_is_warned_of(with_mosaics: Store, capsys: pytest.CaptureFixture[str]) -> None:
    short, long = plan(with_mosaics), plan(with_mosaics, recipes={"htnet": {"epochs": 800_000}})
    for made, have in ((short, Resources(2, 0.0)), (long, Resources(2, 1.0))):
        warn_if_long(made, set(), [], have, Console())
    assert capsys.readouterr().err == ""
    warn_if_long(long, set(), [], Resources(2, 0.0), Console())
    told = capsys.readouterr().err
    assert "days" in told
    assert "most of it htnet" in told


def test_what_is_done_and_what_a_search_may_still_need_count(with_mosaics: Store) -> None:
    whole = plan(with_mosaics)
    jobs = [job.id for job in whole.jobs if job.model == "htnet"]
    all_of_it = training_seconds(whole, set(), [])["htnet"]
    assert training_seconds(whole, set(jobs[:3]), [])["htnet"] == pytest.approx(all_of_it / 2)
    searched = plan(with_mosaics, models=["htnet"], search={"configurations": 4})
    planned = searched.datasets["blobs"]
    divisions = planned.divisions[0]
    left = [(study, 4 * len(divisions[study.group])) for study in searched.studies]
    once = sum(len(division.train_ids) for of_group in divisions.values() for division in of_group)
    per_clip = all_of_it / sum(len(fold.train_ids) for fold in planned.folds.values())
    assert training_seconds(searched, set(), left)["htnet"] == pytest.approx(4 * once * per_clip)
    nothing = [(study, 0) for study in searched.studies]
    assert training_seconds(searched, set(), nothing).get("htnet", 0) == 0
