"""cluster/slurm.sbatch under a real Slurm: two nodes that share a home folder; the first is also the login node."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from hosts import LAB, Host, Lab
from sweeps import ledger, wait_for_entries

NODES = {"slurm1": "10.77.0.8", "slurm2": "10.77.0.9"}
CONFIGURATION = f"""\
ClusterName=lab
SlurmctldHost=slurm1({NODES["slurm1"]})
SlurmUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
StateSaveLocation=/run/slurm/state
SlurmdSpoolDir=/run/slurm/spool
SlurmctldPidFile=/run/slurm/ctld.pid
SlurmdPidFile=/run/slurm/d.pid
SlurmctldLogFile=/run/slurm/ctld.log
SlurmdLogFile=/run/slurm/d.log
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
NodeName=slurm1 NodeAddr={NODES["slurm1"]} CPUs=1 RealMemory=1000
NodeName=slurm2 NodeAddr={NODES["slurm2"]} CPUs=1 RealMemory=1000
PartitionName=all Nodes=ALL Default=YES State=UP
"""
HOME = f"{LAB}/slurm-home"  # what the nodes see as /root
START = f"""
mount --bind {HOME} /root && mkdir -m 755 /run/munge && mkdir -p /run/slurm/state /run/slurm/spool
cp {LAB}/slurm.conf /run/slurm/ && cp {LAB}/munge.key /run/munge/key && chmod 400 /run/munge/key
munged --force --key-file /run/munge/key --log-file /run/munge/log --pid-file /run/munge/pid \
  --seed-file /run/munge/seed
export SLURM_CONF=/run/slurm/slurm.conf
"""


@pytest.fixture(scope="module")
def login(lab: Lab) -> Iterator[Host]:
    """The login node, which is also a compute node, with the project and its virtual environment."""
    nodes = [lab.add(name, f"{address}/24") for name, address in NODES.items()]
    login = nodes[0]
    (lab.folder / "slurm.conf").write_text(CONFIGURATION)
    login.run(f"mungekey --create --keyfile {LAB}/munge.key && cp -r /root {HOME}")
    for node in nodes:
        node.run(START + ("slurmctld && slurmd" if node is login else "slurmd"))
    environment = f"SLURM_CONF=/run/slurm/slurm.conf MER_STORE={LAB}/store PATH=~/mer-python/bin:\\$PATH"
    login.run(f'echo "export {environment}" >> ~/.bashrc')
    login.run(f"cp -r {LAB}/project mer && ln -s ~/mer-python mer/.venv")
    yield login
    for node in nodes:
        node.kill()


def submit(login: Host, arguments: str) -> str:
    """Submit the script as the README says, with the size of these nodes, and return the job's id."""
    size = "--cpus-per-task=1"
    return login.run(f"cd mer && sbatch --parsable {size} cluster/slurm.sbatch {arguments}").stdout.strip()


def wait_until_gone(login: Host, job: str) -> str:
    deadline = time.monotonic() + 300
    while login.run(f"squeue --noheader --jobs {job}", ok=False).stdout.strip():
        assert time.monotonic() < deadline, login.run("squeue; tail -50 mer/mer-*.log /run/slurm/*.log").stdout
        time.sleep(0.5)
    return login.run(f"cat mer/mer-{job}.log").stdout


def test_without_a_token_nothing_starts(lab: Lab, login: Host) -> None:
    log = wait_until_gone(login, submit(login, f"{LAB}/long.yaml --out {LAB}/runs/no-token"))
    assert "no token" in log
    assert "ray get-auth-token --generate" in log
    assert not (lab.folder / "runs" / "no-token").exists()


def test_a_cancelled_or_requeued_job_goes_on(lab: Lab, login: Host, alone: dict[str, str]) -> None:
    login.run("ray get-auth-token --generate")
    arguments = f"{LAB}/long.yaml --out {LAB}/runs/slurm"
    first = submit(login, arguments)
    wait_for_entries(lab, "slurm", 4)
    login.run(f"scancel {first}")
    wait_until_gone(login, first)
    cancelled = ledger(lab, "slurm")

    second = submit(login, arguments)
    wait_for_entries(lab, "slurm", len(cancelled) + 3)
    login.run(f"scontrol requeue {second}")  # what preemption does
    # Slurm waits two minutes before it starts such a job again, or until it is told otherwise.
    deadline = time.monotonic() + 60
    while not login.run(f"squeue --noheader --states=PENDING --jobs {second}").stdout.strip():
        assert time.monotonic() < deadline, login.run("squeue").stdout
        time.sleep(0.5)
    kept = ledger(lab, "slurm")
    assert len(kept) < 15, "it was done before it was queued again"
    login.run(f"scontrol update JobId={second} StartTime=now")
    log = wait_until_gone(login, second)
    assert re.findall(r"\b(\d+) folds are done already", log) == [str(len(cancelled)), str(len(kept))], log
    assert "machines now: 2; counting on 2 cores and 0 GPUs" in log, log
    assert cancelled.items() <= kept.items() <= ledger(lab, "slurm").items(), "a finished fold ran again"
    score = login.run(f"cd mer && python -m orchestrator.cli.commands score --json {LAB}/runs/slurm").stdout
    assert score == alone["long"]
