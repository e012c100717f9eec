"""Machines for a stand-in for AWS: each instance that somebody starts there becomes a host, until it is terminated."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from hosts import LAB, Host, Lab, in_network_of

_KEY = "~/.ssh/ray-autoscaler_us-east-1.pem"  # where Ray keeps the key that it has AWS make
_WATCH = """
import boto3, json, time
ec2, told = boto3.client("ec2"), {}
while True:
    for group in ec2.describe_instances()["Reservations"]:
        for one in group["Instances"]:
            name, state = one["InstanceId"], one["State"]["Name"]
            if told.get(name) != state:
                told[name] = state
                kind, lifecycle = one["InstanceType"], one.get("InstanceLifecycle")
                addresses = [one.get("PrivateIpAddress"), one.get("PublicIpAddress")]
                print(json.dumps([name, state, kind, lifecycle, addresses]), flush=True)
    time.sleep(0.3)
"""
# The image: commands that need the real one's package manager do nothing here, and its user is another name for root.
_PROGRAMS = {
    "sudo": 'while case $1 in *=*) ;; *) false ;; esac; do export "$1"; shift; done; exec "$@"',
    "apt-get": "true",
}


class Cloud:
    """A context manager; while it lasts, instances are hosts of the lab.

    Attributes
    ----------
    running, terminated
        Hosts by instance.
    kinds
        What each instance was asked to be: its type, and ``spot`` or nothing.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab, self._laptop = lab, lab.hosts["laptop"]
        self.running: dict[str, Host] = {}
        self.terminated: dict[str, Host] = {}
        self.kinds: dict[str, tuple[str, str | None]] = {}

    def __enter__(self) -> Cloud:
        folder = self._lab.folder
        for name, script in _PROGRAMS.items():
            path = folder / "image" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
        (folder / "passwd").write_text(Path("/etc/passwd").read_text() + "ubuntu:x:0:0::/root:/bin/bash\n")
        (folder / "watch.py").write_text(_WATCH)
        in_network_of(self._laptop, "ip route add 172.31.0.0/16 dev lab", "ip route add 54.0.0.0/8 dev lab")
        self._watching = self._laptop.start(f"exec python {LAB}/watch.py")
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._laptop.run(f"pkill --full {LAB}/watch.py")
        self._thread.join()
        for host in self.running.values():
            host.kill()

    def _follow(self) -> None:
        assert self._watching.stdout is not None
        for line in self._watching.stdout:
            name, state, kind, lifecycle, addresses = json.loads(line)
            if state == "running":
                self.kinds[name] = kind, lifecycle
                self._start(name, *addresses)
            elif state == "terminated" and name in self.running:
                self.terminated[name] = self.running.pop(name)
                self.terminated[name].kill()

    def _start(self, name: str, private: str, public: str) -> None:
        self._laptop.run(f"ssh-keygen -y -f {_KEY} > {LAB}/cloud.pub")
        host = self._lab.add(name, f"{private}/16", f"{public}/32")
        host.run(f"mount --bind {LAB}/passwd /etc/passwd; echo 'export PATH={LAB}/image:$PATH' >> ~/.bashrc")
        self.running[name] = host

    def take_back(self, name: str) -> None:
        """End an instance, as AWS does with spot machines."""
        code = f"import boto3; boto3.client('ec2').terminate_instances(InstanceIds=['{name}'])"
        self._laptop.run(f'python -c "{code}"')
