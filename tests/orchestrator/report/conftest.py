"""Results without training, as output folders and as capsules; made once, and copied by whoever changes them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from blobs import blob_clips, write_blobs
from simulated import plan_of, simulate
from trained import plan_for, train

from mer_data.storage.store import Store
from orchestrator.console import Console
from orchestrator.report.capsules import make_capsule


@pytest.fixture(scope="session")
def quick_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mer_data.files._flush", lambda path: None)
        yield


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The dataset ``blobs``: 6 subjects, 24 clips."""
    store = Store(tmp_path_factory.mktemp("small") / "store")
    write_blobs(store, "blobs", blob_clips())
    return store


@pytest.fixture(scope="session")
def listed_out(small_store: Store, tmp_path_factory: pytest.TempPathFactory, quick_disk: None) -> Path:
    """An output folder of two models with two seeds."""
    out = tmp_path_factory.mktemp("listed") / "out"
    train(plan_for(small_store, seeds=[0, 1]), out)
    return out


@pytest.fixture(scope="session")
def listed(listed_out: Path) -> Path:
    """The capsule of it."""
    to = listed_out.with_name("listed.mer")
    make_capsule(str(listed_out), to, Console(), every=1, partial=False)
    return to


@pytest.fixture(scope="session")
def searched_out(tmp_path_factory: pytest.TempPathFactory, quick_disk: None) -> Path:
    """An output folder of a search for two groups, each of which has stopped a configuration."""
    folder = tmp_path_factory.mktemp("searched")
    store = Store(folder / "store")
    write_blobs(store, "blobs", blob_clips(10, 6))
    plan = plan_of(store, configurations=6, groups=2, divisions=4)
    plan.save(folder / "out" / "plan.json")
    simulate(plan, folder / "out")
    return folder / "out"


@pytest.fixture(scope="session")
def searched(searched_out: Path) -> Path:
    """The capsule of it."""
    to = searched_out.with_name("searched.mer")
    make_capsule(str(searched_out), to, Console(), every=1, partial=False)
    return to
