"""Store and results behind a real S3 protocol server that three hosts reach over the network."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from hosts import LAB, Host, Lab
from sweeps import SUBMIT, score

OUT = "s3://lab/runs/long"


@pytest.fixture(scope="module", autouse=True)
def _experiments(lab: Lab) -> None:
    for name in ("short", "long"):
        text = (lab.folder / f"{name}.yaml").read_text()
        (lab.folder / f"s3-{name}.yaml").write_text(f"{text}store: s3://lab/store\n")


def downloads(log: Path) -> Counter[tuple[str, str]]:
    """How often each host fetched each shard."""
    with log.open(encoding="utf-8") as file:
        found = [re.search(r"^(10\.77\.0\.\d+) .*GET \S*/([^/?\s]+\.arrow)", line) for line in file]
    return Counter((hit[1], hit[2]) for hit in found if hit and hit[2] != "clips.arrow")


def test_each_host_fetches_a_shard_once(lab: Lab, laptop: Host, head: Host, alone: dict[str, str], aws: Path) -> None:
    before = downloads(aws)
    laptop.run(f"{SUBMIT} {LAB}/s3-short.yaml --out {LAB}/runs/s3")
    assert score(head, "s3") == alone["short"]
    first = downloads(aws) - before
    hosts = {host for host, _ in first}
    assert {lab.hosts["worker1"].address, lab.hosts["worker2"].address} & hosts
    assert set(first.values()) == {1}, first

    # A later run on the same features fetches none.
    laptop.run(f"{SUBMIT} {LAB}/s3-short.yaml --out {LAB}/runs/s3-again --set seeds=1 --set models=ststnet")
    again = downloads(aws) - before - first
    assert not [pair for pair in again if pair[0] in hosts], again


def test_results_outlive_the_head(laptop: Host, head: Host, alone: dict[str, str], aws: Path) -> None:
    submit = f"{SUBMIT} {LAB}/s3-long.yaml --out {OUT}"
    first = laptop.start(submit)
    deadline = time.monotonic() + 300
    while sent(aws) < 4:
        assert time.monotonic() < deadline, "no results appear in object storage"
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.05)
    # Its driver is gone, and so is all that it had on its disk.
    head.run("pkill --signal KILL --full '^python [^ ]*/run_all.py'; rm -r ~/.cache/mer")
    assert first.wait(60) != 0
    kept = done(laptop)
    assert kept < 15, "it was done before it was killed"
    again = laptop.run(submit)
    assert re.findall(r"\b(\d+) folds are done already", again.stdout) == [str(kept)]
    assert ask(laptop, "score") == alone["long"]


def ask(laptop: Host, command: str) -> str:
    """What the laptop is told of the results, without the head."""
    return laptop.run(f"cd mer && python -m orchestrator.cli.commands {command} --json {OUT}", ok=False).stdout


def sent(log: Path) -> int:
    """How many results have reached object storage. To ask the laptop takes seconds, in which a run may end."""
    return len(set(re.findall(r"PUT (\S*/runs/long/ledger/[^/?\s]+\.arrow)", log.read_text(encoding="utf-8"))))


def done(laptop: Host) -> int:
    """How many results are in object storage."""
    told = ask(laptop, "status")
    return int(json.loads(told)["jobs"]["done"]) if told else 0
