#!/bin/sh
# What the tests with the marker `cluster` need: Debian's packages, as root, and what pip builds the project with.
#
#   sh tests/cluster/install.sh [PYTHON]      PYTHON is that of the virtual environment; .venv/bin/python if not given
#
# Nothing is started, and no configuration of this machine is changed: the tests run their own servers with their own
# files inside their own namespaces.
set -eu
PYTHON=${1:-.venv/bin/python}
missing=
for program in sshd:openssh-server ssh:openssh-client rsync:rsync ip:iproute2 tmux:tmux setpriv:util-linux \
    slurmctld:slurm-wlm munged:munge; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${program%%:*}" >/dev/null || missing="$missing ${program##*:}"
done
if [ -n "$missing" ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # shellcheck disable=SC2086 # one word per package
    apt-get install -y -q --no-install-recommends $missing
fi
# The hosts of the tests have no network beyond each other; pip finds these in the virtual environment's folder.
WHEELS=$("$PYTHON" -c 'import sys; print(sys.prefix)')/wheels
if ! test -d "$WHEELS"; then
    "$PYTHON" -m pip download --quiet --dest "$WHEELS.new" hatchling hatch-fancy-pypi-readme editables
    mv "$WHEELS.new" "$WHEELS"
fi
