"""A laptop and three hosts with ssh, and the cluster that `ray up` makes of them: made once, used by all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from blobs import blob_clips, write_blobs
from hosts import LAB, Host, Lab, usable
from sweeps import EXPERIMENT, HEAD, NAMES, WORKERS, wait_for_nodes

from mer_data.store import Store


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where hosts cannot be made, the tests that need them say why."""
    reason = usable()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            if reason and "lab" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The laptop, and a shared folder with a store and two experiments: one of seconds and one of a minute."""
    folder = tmp_path_factory.mktemp("lab")
    write_blobs(Store(folder / "store"), "blobs", blob_clips(5, 3))
    for name, epochs in (("short", 40), ("long", 600)):
        (folder / f"{name}.yaml").write_text(EXPERIMENT.format(epochs=epochs))
    # What a lab's machines would have in ~/.aws; for the stand-in for S3.
    keys = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_EC2_METADATA_DISABLED": "true"}
    with Lab(folder, keys) as lab:
        yield lab


@pytest.fixture(scope="session")
def laptop(lab: Lab) -> Host:
    """The user's own machine, with the cluster file filled in."""
    host = lab.hosts["laptop"]
    fill = "; ".join(f"s#\\b{name}\\b#{value}#" for name, value in NAMES.items())
    host.run(
        f"sed -i '/^ *#/!{{{fill}; s#/SHARED/#{LAB}/#}}' mer/cluster/on-prem.yaml && ray get-auth-token --generate"
    )
    return host


@pytest.fixture(scope="session")
def alone(laptop: Host) -> dict[str, str]:
    """What `mer score` says of each experiment after a run on the laptop alone, with plain python."""
    scores = {}
    for name in ("short", "long"):
        run = f"MER_STORE={LAB}/store python mer/orchestrator/run_all.py {LAB}/{name}.yaml --out runs/{name}"
        laptop.run(run, timeout=600)
        scores[name] = laptop.run(f"cd mer && python -m orchestrator.cli score --json ~/runs/{name}").stdout
    return scores


@pytest.fixture(scope="session")
def head(lab: Lab, laptop: Host) -> Iterator[Host]:
    """The head of a standing cluster of three hosts, started and stopped from the laptop."""
    host = lab.add("head", HEAD)
    for name, address in WORKERS.items():
        lab.add(name, address)
    laptop.run("cd mer && RAY_USAGE_STATS_ENABLED=0 ray up -y cluster/on-prem.yaml")
    wait_for_nodes(host, 3)
    yield host
    for name in ("head", *WORKERS):
        lab.hosts[name].kill()
