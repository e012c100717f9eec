"""Store and results behind a real S3 protocol server that three hosts reach over the network."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from hosts import LAB, LAPTOP, Host, Lab
from sweeps import EXPERIMENT, SUBMIT, score

SERVER = f"endpoint_override={LAPTOP}:5555&scheme=http&region=us-east-1"
STORE, OUT = f"s3://lab/store?{SERVER}", f"s3://lab/runs/long?{SERVER}"
KEYS = "AWS_ACCESS_KEY_ID=tests AWS_SECRET_ACCESS_KEY=tests AWS_EC2_METADATA_DISABLED=true"
FILL = f"""
import boto3
from blobs import blob_clips, write_blobs
from mer_data.store import Store
client = boto3.client("s3", endpoint_url="http://{LAPTOP}:5555", region_name="us-east-1")
client.create_bucket(Bucket="lab")
write_blobs(Store("{STORE}"), "blobs", blob_clips(5, 3))
"""


@pytest.fixture(scope="module")
def requests(lab: Lab, laptop: Host) -> str:
    """Path of the server's log, with a line per request and the address that it came from."""
    log = lab.folder / "s3.log"
    laptop.start(f"moto_server -H {LAPTOP} -p 5555 > {LAB}/s3.log 2>&1")  # ends with the laptop
    deadline = time.monotonic() + 60
    while "Running on" not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    (lab.folder / "fill.py").write_text(FILL)
    laptop.run(f"cd mer && {KEYS} PYTHONPATH=.:tests python {LAB}/fill.py")
    for name, epochs in (("s3", 40), ("s3-long", 600)):
        (lab.folder / f"{name}.yaml").write_text(EXPERIMENT.format(epochs=epochs) + f"store: {STORE}\n")
    return str(log)


def downloads(log: str) -> Counter[tuple[str, str]]:
    """How often each host fetched each shard."""
    with Path(log).open(encoding="utf-8") as file:
        found = [re.search(r"^(10\.77\.0\.\d+) .*GET \S*/([^/?\s]+\.arrow)", line) for line in file]
    return Counter((hit[1], hit[2]) for hit in found if hit and hit[2] != "clips.arrow")


def test_each_host_fetches_a_shard_once(
    lab: Lab, laptop: Host, head: Host, alone: dict[str, str], requests: str
) -> None:
    before = downloads(requests)
    laptop.run(f"{SUBMIT} {LAB}/s3.yaml --out {LAB}/runs/s3")
    assert score(head, "s3") == alone["short"]
    first = downloads(requests) - before
    hosts = {host for host, _ in first}
    assert {lab.hosts["worker1"].address, lab.hosts["worker2"].address} & hosts
    assert set(first.values()) == {1}, first

    # A later run on the same features fetches none.
    laptop.run(f"{SUBMIT} {LAB}/s3.yaml --out {LAB}/runs/s3-again --set seeds=1 --set models=ststnet")
    again = downloads(requests) - before - first
    assert not [pair for pair in again if pair[0] in hosts], again


def test_results_outlive_the_head(laptop: Host, head: Host, alone: dict[str, str], requests: str) -> None:
    submit = f"{SUBMIT} {LAB}/s3-long.yaml --out \"'{OUT}'\""  # the head's shell reads it once more
    first = laptop.start(submit)
    deadline = time.monotonic() + 300
    while done(laptop) < 4:
        assert time.monotonic() < deadline, "no results appear in object storage"
        assert first.poll() is None, first.communicate()[0]
    # Its driver is gone, and so is all that it had on its disk.
    head.run("pkill --signal KILL --full '^python [^ ]*/run_all.py'; rm -r ~/.cache/mer")
    assert first.wait(60) != 0
    kept = done(laptop)
    assert kept < 15, "it was done before it was killed"
    again = laptop.run(submit)
    assert f"{kept} folds are done already" in again.stdout
    assert ask(laptop, "score") == alone["long"]


def ask(laptop: Host, command: str) -> str:
    """What the laptop is told of the results, without the head."""
    return laptop.run(f"cd mer && {KEYS} python -m orchestrator.cli {command} --json '{OUT}'", ok=False).stdout


def done(laptop: Host) -> int:
    """How many results are in object storage."""
    told = ask(laptop, "status")
    return int(json.loads(told)["jobs"]["done"]) if told else 0
