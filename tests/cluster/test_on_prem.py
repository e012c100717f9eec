"""`ray up`, `ray submit`, `ray down` with cluster/on-prem.yaml, through real ssh servers, to three hosts."""

from __future__ import annotations

import re
import time

from hosts import LAB, Host, Lab
from sweeps import SUBMIT, ledger, score, wait_for_entries


def test_a_submitted_sweep_gives_the_table_of_one_machine(
    lab: Lab, laptop: Host, head: Host, alone: dict[str, str]
) -> None:
    # As cluster/README.md has it: the experiment file goes up, then the run; results go to the path all hosts share.
    laptop.run(f"cd mer && cp {LAB}/short.yaml . && ray rsync-up cluster/on-prem.yaml short.yaml '~/short.yaml'")
    run = laptop.run(f"{SUBMIT} short.yaml --out {LAB}/runs/three")
    assert score(head, "three") == alone["short"]

    # The same project on the laptop has the same code version; the run says which one it used.
    here = laptop.run(
        "cd mer && python -c 'from orchestrator.machines.code_version import code_version; print(code_version())'"
    )
    assert re.search(rf"code {here.stdout.strip()} in \S+/mer\b", run.stdout)


def test_progress_survives_a_dropped_connection_and_is_seen_from_the_laptop(
    lab: Lab, laptop: Host, head: Host, alone: dict[str, str]
) -> None:
    submit = SUBMIT.replace("ray submit", "ray submit --tmux")
    laptop.run(f"{submit} {LAB}/long.yaml --out {LAB}/runs/tmux")
    wait_for_entries(lab, "tmux", 3)
    status = laptop.run(f"cd mer && ray exec cluster/on-prem.yaml 'mer status {LAB}/runs/tmux'", ok=False)
    assert re.search(r"\d+ done, \d+ running, \d+ missing", status.stdout), status.stdout
    wait_for_entries(lab, "tmux", 15)
    assert score(head, "tmux") == alone["long"]


def test_the_driver_is_killed_and_the_same_submit_resumes(
    lab: Lab, laptop: Host, head: Host, alone: dict[str, str]
) -> None:
    submit = f"{SUBMIT} {LAB}/long.yaml --out {LAB}/runs/killed"
    first = laptop.start(submit)
    wait_for_entries(lab, "killed", 6)
    head.run("pkill --signal KILL --full '^python [^ ]*/run_all.py'")
    assert first.wait(60) != 0
    kept = ledger(lab, "killed")
    assert len(kept) < 15, "it was done before it was killed"
    again = laptop.run(submit)
    assert "folds are done already" in again.stdout
    assert kept.items() <= ledger(lab, "killed").items(), "a finished fold ran again"
    assert score(head, "killed") == alone["long"]


def test_the_page_of_mlflow_is_shown_on_the_laptop_and_only_there(
    lab: Lab, laptop: Host, head: Host, alone: dict[str, str]
) -> None:
    # Submitted again, the sweep that is done trains nothing and prints the table and the line.
    run = laptop.run(f"{SUBMIT} {LAB}/short.yaml --out {LAB}/runs/three")
    line = re.search(r"ssh -t -L .+", run.stdout)
    assert line, run.stdout
    command = line[0].strip().replace("ssh -t ", "ssh -tt -i .ssh/id_ed25519 -o StrictHostKeyChecking=no ", 1)
    page = laptop.start(f"exec {command}")
    try:
        curl = "curl --silent --output /dev/null --write-out '%{http_code}' --max-time 20"
        deadline = time.monotonic() + 300
        while laptop.run(f"{curl} http://127.0.0.1:5000/", ok=False).stdout != "200":
            assert time.monotonic() < deadline, "MLflow's page does not come up"
            time.sleep(1)
        # A page of somebody else, open in the same browser, cannot read it; and the network does not reach it.
        assert laptop.run(f"{curl} -H 'Host: elsewhere.example' http://127.0.0.1:5000/", ok=False).stdout == "403"
        assert laptop.run(f"{curl} http://{head.address}:5000/", ok=False).stdout == "000"
    finally:
        laptop.run("pkill --full '^ssh -tt -i .ssh'")  # its terminal on the head goes away, and the server with it
        page.communicate()
    deadline = time.monotonic() + 60
    while head.run("pgrep --full '[m]lflow server'", ok=False).stdout:
        assert time.monotonic() < deadline, "MLflow's server outlives the terminal"
        time.sleep(1)
