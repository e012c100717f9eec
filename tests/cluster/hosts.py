"""Hosts for tests: network, process, mount and host-name namespaces of this machine, each with a real ssh server.

A *laptop* and some hosts share a bridge that nothing else can reach. Each has its own processes, its own ``/root`` and
``/tmp`` and its own view of the virtual environment. What they share is the folder ``/mnt/lab``. A host ends with its
first process, and the first processes end with the tests, however those end.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = Path("/mnt/lab")  # where each host sees the shared folder
LAPTOP = "10.77.0.1"
_NOT_PROJECT = shutil.ignore_patterns(
    ".git", ".venv", "data", "runs", ".*_cache", "__pycache__", ".hypothesis", "*.egg-info"
)
_SSHD = """\
HostKey /mnt/lab/host_key
AuthorizedKeysFile /mnt/lab/id_ed25519.pub /mnt/lab/cloud.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
SetEnv {environment}
"""


@dataclass
class Host:
    """One host.

    Attributes
    ----------
    name, address
        Its host name and its address on the bridge.
    process
        The ``unshare`` whose child is the host's first process.
    init
        The process id of that child, seen from outside.
    """

    name: str
    address: str
    process: subprocess.Popen[bytes]
    init: int

    def command(self, script: str) -> list[str]:
        """The command that runs a script on this host, in a login shell in ``/root``."""
        clean = [
            "env",
            "-i",
            "HOME=/root",
            "USER=root",
            "LANG=C.UTF-8",
            "TERM=dumb",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        ]
        enter = ["nsenter", "--target", str(self.init), "--mount", "--pid", "--net", "--uts"]
        return [*clean, *enter, "bash", "--login", "-c", f"cd && {script}"]

    def run(self, script: str, *, ok: bool = True, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a script on this host; with `ok`, it must succeed."""
        done = subprocess.run(self.command(script), capture_output=True, text=True, timeout=timeout, check=False)
        if ok:
            assert done.returncode == 0, f"{self.name}$ {script}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done

    def start(self, script: str) -> subprocess.Popen[str]:
        """Start a script on this host."""
        pipe = subprocess.PIPE
        return subprocess.Popen(self.command(script), stdout=pipe, stderr=subprocess.STDOUT, text=True)

    def kill(self) -> None:
        """End all its processes at once, as a loss of power does."""
        self.process.kill()  # its child, the first process of the host, dies with it, and with that one all others
        self.process.wait()


@dataclass
class Lab:
    """The laptop and the hosts.

    Parameters
    ----------
    folder
        Becomes ``/mnt/lab`` on all of them.
    environment
        What every login finds set, also on the laptop.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)

    def __enter__(self) -> Lab:
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f"]
        for name in ("host_key", "id_ed25519"):
            subprocess.run([*key, str(self.folder / name)], check=True)
        told = {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": f"{sys.prefix}/wheels",
            "PIP_ROOT_USER_ACTION": "ignore",
            "RAY_OVERRIDE_RESOURCES": '{"CPU": 1}',
            "RAY_worker_niceness": "0",  # what else runs on this machine must not starve the hosts
            **self.environment,
        }
        words = " ".join(shlex.quote(f"{name}={value}") for name, value in told.items())
        (self.folder / "sshd_config").write_text(_SSHD.format(environment=words))
        laptop = self.add("laptop", LAPTOP)
        in_network_of(
            laptop, "ip link add lab type bridge", f"ip address add {LAPTOP}/24 dev lab", "ip link set lab up"
        )
        shutil.copytree(ROOT, self.folder / "project", ignore=_NOT_PROJECT)
        laptop.run(f"cp -r {LAB}/project ~/mer && mkdir -m 700 ~/.ssh && cp {LAB}/id_ed25519 ~/.ssh/")
        own = " ".join(shlex.quote(f"{name}={value}") for name, value in self.environment.items())
        laptop.run(f"echo 'export PATH=~/mer-python/bin:$PATH RAY_worker_niceness=0' {shlex.quote(own)} >> ~/.bashrc")
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts.values():
            host.kill()

    def add(self, name: str, *addresses: str) -> Host:
        """Start a host; if it is not the laptop, connect it to the bridge with these addresses (``10.77.0.2/24``)."""
        ready = self.folder / f"ready.{name}"
        ready.unlink(missing_ok=True)
        spaces = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
        script = ["bash", str(Path(__file__).with_name("host.sh")), name, str(self.folder)]
        folders = [sys.prefix, sys.base_prefix, str(ROOT)]
        # The log is a file: a pipe that nobody reads would stop the host.
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *spaces, *script, *folders], stdout=log, stderr=log, cwd="/"
            )
        deadline = time.monotonic() + 20
        while not ready.exists():
            assert process.poll() is None, (self.folder / f"{name}.log").read_text()
            assert time.monotonic() < deadline, f"{name} does not start"
            time.sleep(0.02)
        init = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        host = self.hosts[name] = Host(name, addresses[0].split("/")[0], process, init)
        if host.address != LAPTOP:
            plug = f"ip link add {_plug(name)} type veth peer name eth0 netns {init}"
            in_network_of(self.hosts["laptop"], plug, f"ip link set {_plug(name)} master lab up")
            in_network_of(host, *(f"ip address add {one} dev eth0" for one in addresses), "ip link set eth0 up")
            in_network_of(host, f"ip route replace {LAPTOP}/32 dev eth0", f"ip route add default via {LAPTOP}")
        return host

    def cut(self, name: str) -> None:
        """Take a host off the network; its processes go on and nobody hears of it."""
        in_network_of(self.hosts["laptop"], f"ip link set {_plug(name)} down")


def _plug(name: str) -> str:
    return f"to-{name[-12:]}"  # names of interfaces are short


def in_network_of(host: Host, *commands: str) -> None:
    """Run commands of this machine in a host's network."""
    for command in commands:
        # The network of the host, with the programs and the process ids of this machine.
        subprocess.run(["nsenter", "--target", str(host.init), "--net", *command.split()], check=True)


def usable() -> str:
    """Why these tests cannot run here, in words; nothing if they can."""
    if os.geteuid() != 0:
        return "making hosts out of namespaces needs root"
    search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    absent = [name for name in ("sshd", "rsync", "ip", "tmux", "setpriv") if shutil.which(name, path=search) is None]
    if absent or not Path(sys.prefix, "wheels").is_dir():
        return f"{', '.join(absent) or 'the build wheels'} missing: run `sh tests/cluster/install.sh`"
    return ""
