"""A worker that goes away, and the end of a cluster; the last tests of the standing one."""

from __future__ import annotations

import time

from hosts import LAB, Host, Lab
from sweeps import SUBMIT, score, wait_for_entries


def test_a_worker_that_is_cut_off_and_then_lost_costs_no_result(
    lab: Lab, laptop: Host, head: Host, alone: dict[str, str]
) -> None:
    run = laptop.start(f"{SUBMIT} {LAB}/long.yaml --out {LAB}/runs/lost")
    wait_for_entries(lab, "lost", 4)
    lab.cut("worker2")
    wait_for_entries(lab, "lost", 8)
    lab.hosts["worker2"].kill()
    output, _ = run.communicate(timeout=600)
    assert run.returncode == 0, output
    assert score(head, "lost") == alone["long"]


def test_ray_down_leaves_nothing_behind(lab: Lab, laptop: Host, head: Host) -> None:
    laptop.run("cd mer && ray down -y cluster/on-prem.yaml")
    assert head.run("pgrep raylet", ok=False).stdout == ""
    # A worker's Ray ends by itself when the head does not answer for a minute.
    deadline = time.monotonic() + 150
    while lab.hosts["worker1"].run("pgrep raylet", ok=False).stdout:
        assert time.monotonic() < deadline
        time.sleep(2)
