"""Who has no token gets nothing; nothing that lets everybody in is started or joined; no node runs other code."""

from __future__ import annotations

from hosts import LAB, LAPTOP, Host, Lab
from sweeps import HEAD, score

RUN = f"python mer/orchestrator/run_all.py {LAB}/short.yaml --out runs/refused"


def refused(host: Host, settings: str) -> str:
    """What a run says that must not start."""
    run = host.run(f"export MER_STORE={LAB}/store {settings}; {RUN}", ok=False, timeout=120)
    assert run.returncode == 2, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    return run.stderr


def test_a_driver_without_the_token_is_refused(head: Host) -> None:
    for settings in (f"RAY_AUTH_TOKEN={'0' * 64}", "RAY_AUTH_MODE=disabled"):
        told = refused(head, settings)
        assert f"Ray cluster {HEAD}:6379" in told
        assert "token" in told
        assert "~/.ray/auth_token" in told


def test_a_machine_without_the_token_cannot_join(laptop: Host, head: Host) -> None:
    join = laptop.run(f"RAY_AUTH_MODE=disabled timeout 60 ray start --address={HEAD}:6379", ok=False)
    assert join.returncode != 0
    assert "InvalidAuthToken" in join.stdout + join.stderr


def test_ray_up_without_a_token_starts_nothing(laptop: Host) -> None:
    laptop.run("mv .ray/auth_token .ray/aside")
    try:
        up = laptop.run("cd mer && ray up -y cluster/on-prem.yaml", ok=False)
    finally:
        laptop.run("mv .ray/aside .ray/auth_token")
    assert up.returncode != 0
    assert "/.ray/auth_token" in up.stderr


def test_a_cluster_that_lets_everybody_in_is_refused(laptop: Host) -> None:
    # In the laptop's own namespaces: `ray stop` finds no process of any other host.
    laptop.run(f"RAY_AUTH_MODE=disabled ray start --head --port=6400 --node-ip-address={LAPTOP}")
    try:
        told = refused(laptop, f"RAY_ADDRESS={LAPTOP}:6400")
    finally:
        laptop.run("ray stop --force")
    assert "asks for no token" in told
    assert "ray get-auth-token --generate" in told


def test_an_old_copy_on_a_machine_is_not_what_runs(lab: Lab, head: Host, alone: dict[str, str]) -> None:
    worker = lab.hosts["worker1"]
    start = f"RAY_AUTH_MODE=token ray start --address={HEAD}:6379"
    worker.run("cp -r mer old && echo 'raise RuntimeError' >> old/mer_models/spec.py")
    worker.run(f"ray stop --force; PYTHONPATH=~/old {start}")
    try:
        head.run(RUN.replace("runs/refused", f"{LAB}/runs/old"))
        assert score(head, "old") == alone["short"]
    finally:
        worker.run(f"ray stop --force; {start}")


def test_a_machine_with_another_library_is_refused(lab: Lab, head: Host) -> None:
    worker = lab.hosts["worker1"]
    metadata = "$(python -c 'import sys; print(sys.prefix)')/lib/python3*/site-packages/scikit_learn-*/METADATA"
    worker.run(f"sed -i.kept 's/^Version: .*/Version: 0.1/' {metadata}")
    try:
        told = refused(head, "MODE=as-usual")
    finally:
        worker.run(f"for one in {metadata}.kept; do mv $one ${{one%.kept}}; done")
    assert "machine worker1: runs scikit-learn 0.1, here 1." in told
    assert "`ray up`" in told
