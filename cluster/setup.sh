#!/bin/sh
# Run on every machine by `ray up`, before Ray starts there: a Python of the project's own with all that it needs, first on
# the path of every login. Running it again takes seconds.
#
#   setup.sh [NAME=VALUE]...       also sets these in every login
set -eu
test -x ~/mer-python/bin/python || python3 -m venv ~/mer-python
~/mer-python/bin/python -m pip install --quiet --constraint ~/mer/constraints.txt --editable ~/mer

# The token opens Ray's ports; nobody else on this machine is to read it.
chmod 700 ~/.ray
chmod 600 ~/.ray/auth_token

{
    echo 'export PATH=~/mer-python/bin:$PATH RAY_AUTH_MODE=token'
    for setting in "$@"; do
        printf "export '%s'\n" "$setting"
    done
} >~/.mer-login
if ! grep -qs mer-login ~/.bashrc; then
    # First in the file: some systems end .bashrc early for shells without a terminal.
    { echo '. ~/.mer-login'; cat ~/.bashrc 2>/dev/null || true; } >~/.bashrc.new
    mv ~/.bashrc.new ~/.bashrc
fi
