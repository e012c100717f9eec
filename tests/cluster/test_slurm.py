"""cluster/slurm.sbatch under a real Slurm: one host with munge, a controller and a node daemon."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hosts import LAB, Host, Lab
from sweeps import ledger, wait_for_entries

ADDRESS = "10.77.0.9"
CONFIGURATION = f"""\
ClusterName=lab
SlurmctldHost=slurm({ADDRESS})
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
NodeName=slurm NodeAddr={ADDRESS} CPUs=2 RealMemory=1000
PartitionName=all Nodes=ALL Default=YES State=UP
"""
START = f"""
export SLURM_CONF=/run/slurm/slurm.conf
echo "export SLURM_CONF=$SLURM_CONF MER_STORE={LAB}/store PATH=~/mer-python/bin:\\$PATH" >> ~/.bashrc
mkdir -m 755 /run/munge && mkdir /run/slurm/state /run/slurm/spool
mungekey --create --keyfile /run/munge/key && munged --force --key-file /run/munge/key --log-file /run/munge/log \
  --pid-file /run/munge/pid --seed-file /run/munge/seed
slurmctld && slurmd
"""


@pytest.fixture(scope="module")
def login(lab: Lab) -> Iterator[Host]:
    """The login node, which is also the only compute node, with the project and its virtual environment."""
    host = lab.add("slurm", ADDRESS)
    (lab.folder / "slurm.conf").write_text(CONFIGURATION)
    host.run(f"mkdir /run/slurm && cp {LAB}/slurm.conf /run/slurm/ && {START}")
    host.run(f"cp -r {LAB}/project mer && ln -s ~/mer-python mer/.venv")
    yield host
    host.kill()


def submit(login: Host, arguments: str) -> str:
    """Submit the script as the README says, with this host's size, and return the job's id."""
    size = "--nodes=1 --cpus-per-task=2"
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


def test_a_cancelled_job_goes_on_when_submitted_again(lab: Lab, login: Host, alone: dict[str, str]) -> None:
    login.run("ray get-auth-token --generate")
    arguments = f"{LAB}/long.yaml --out {LAB}/runs/slurm"
    first = submit(login, arguments)
    wait_for_entries(lab, "slurm", 6)
    login.run(f"scancel {first}")
    wait_until_gone(login, first)
    kept = ledger(lab, "slurm")
    assert len(kept) < 15, "it was done before it was cancelled"
    log = wait_until_gone(login, submit(login, arguments))
    assert "folds are done already" in log, log
    assert kept.items() <= ledger(lab, "slurm").items(), "a finished fold ran again"
    score = login.run(f"cd mer && python -m orchestrator.cli score --json {LAB}/runs/slurm").stdout
    assert score == alone["long"]
