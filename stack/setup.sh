#!/bin/sh
# Makes .venv with exactly what the lock says. Usage: stack/setup.sh [dev]
# Does nothing, quickly, where the lock, the interpreter and the checkout's place are unchanged.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
venv=.venv
python=$venv/bin/python
want=${1:-run}

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[123].*/bin/python \
        /usr/local/bin/python3.1[123] /opt/python*/bin/python3 /opt/homebrew/bin/python3.1[123]; do
        if fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    cat >&2 <<'MESSAGE'
Expected Python 3.11, 3.12 or 3.13, found none of them.
Install one and run this again, for example:
    Debian, Ubuntu   apt-get install python3 python3-venv
    macOS            brew install python@3.13
    anywhere         uv python install 3.13        (https://docs.astral.sh/uv)
or name one: make setup PYTHON=/path/to/python3.13
MESSAGE
    return 1
}

stamp() {
    # The place matters, too: a virtual environment holds absolute paths.
    {
        echo "$root"
        "$python" -c 'import sys; print(sys.version)'
        cat requirements.txt pyproject.toml
        [ "$1" = run ] || cat requirements-dev.txt
    } | cksum
}

# Whether .venv can be used: it works, and is of the Python that was asked for, if one was.
usable() {
    fits "$python" && { [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -V 2>&1)" = "$("$python" -V)" ]; }
}

up_to_date() {
    usable && [ "$(stamp "$1")" = "$(cat "$venv/.stamp-$1" 2>/dev/null)" ]
}

make_venv() {
    interpreter=$(find_python)
    if command -v uv >/dev/null 2>&1; then
        uv venv --quiet --clear --python "$interpreter" "$venv"
    elif "$interpreter" -c 'import ensurepip, venv' 2>/dev/null; then
        "$interpreter" -m venv --clear "$venv"
    else
        echo "Expected the modules venv and ensurepip in $interpreter, found none." >&2
        echo "Install them (Debian, Ubuntu: apt-get install python3-venv), or install uv, and run this again." >&2
        return 1
    fi
}

install() {
    if command -v uv >/dev/null 2>&1; then
        uv pip install --quiet --python "$python" --compile-bytecode "$@"
    else
        # The lock is complete; pip's own resolver takes "pandas[parquet]" for something that is not pinned.
        "$python" -m pip install --quiet --disable-pip-version-check --no-deps "$@"
    fi
}

if up_to_date dev || { [ "$want" = run ] && up_to_date run; }; then
    exit 0
fi

began=$(date +%s)
usable || make_venv
echo "Installing the locked requirements into $venv (1 GB; a minute or two) ..."
if [ "$want" = dev ]; then
    install --require-hashes -r requirements.txt -r requirements-dev.txt
else
    install --require-hashes -r requirements.txt
fi
install --no-deps --no-build-isolation --editable .
stamp "$want" >"$venv/.stamp-$want"
echo "Done in $(($(date +%s) - began)) s: $("$python" --version), $venv"
