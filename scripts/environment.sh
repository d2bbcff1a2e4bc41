# Sourced by the scripts here: finds Python, and keeps .venv as this checkout asks for it.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv

say() { printf '%s\n' "$*" >&2; }

# environment [EXTRA]: create or update .venv; returns at once if nothing changed.
# A subshell: holds its lock while it lives, so that two scripts started together take turns.
environment() (
    lock
    # Copies of what was installed from; equal to today's files, there is nothing to do.
    stamp=$venv/.installed${1:+-$1}
    unfinished=$venv/.unfinished
    if ! healthy; then
        python=$(find_python)
        [ ! -e "$venv" ] || say "$venv is broken or incomplete: recreating it."
        rm -rf "$venv"
        mkdir "$venv"
        touch "$unfinished"
        "$python" -m venv "$venv"
    elif wanted | cmp -s - "$stamp"; then
        return
    fi
    say "Installing into $venv: 3 GB on disk, one or two minutes with a fast connection."
    touch "$unfinished"
    rm -f "$venv"/.installed*
    quiet=--quiet
    [ ! -t 2 ] || quiet=--progress-bar=on # someone is watching
    "$venv/bin/python" -m pip install "$quiet" --disable-pip-version-check --no-input \
        --constraint "$root/constraints.txt" --editable "$root${1:+[$1]}" >&2 || {
        say "The installation failed, for the reason above. Is the package index reachable?" \
            "Run this again to try again."
        return 1
    }
    wanted >"$venv/.installed" # every extra holds the package itself
    wanted >"$stamp"
    rm "$unfinished"
) 9<"$root/pyproject.toml"

lock() {
    command -v flock >/dev/null || return 0 # macOS has none
    flock --nonblock 9 || {
        say "Waiting for another script that is installing into $venv."
        flock 9
    }
}

wanted() { cat "$root/pyproject.toml" "$root/constraints.txt"; }

# No installation was cut short, Python works, is one of ours, and .venv lies where it was made.
healthy() {
    [ ! -e "$venv/.unfinished" ] || return 1
    case $("$venv/bin/pip" --version 2>/dev/null) in
    "pip "*" from $venv/"*" (python 3.1"[123]")") ;;
    *) return 1 ;;
    esac
}

# The first Python from 3.11 to 3.13, as the path of its executable; PYTHON=... names another.
find_python() {
    found=
    set -- python3.11 python3.12 python3.13 python3 python
    [ -z "${PYTHON:-}" ] || set -- "$PYTHON"
    for name; do
        # Not of a virtual environment: an active one may be the one that is about to go.
        path=$("$name" -c '
import sys
assert (3, 11) <= sys.version_info < (3, 14)
print(getattr(sys, "_base_executable", sys.executable))' 2>/dev/null) || continue
        found=$path
        "$path" -c 'import ensurepip, venv' 2>/dev/null || continue
        printf '%s\n' "$path"
        return
    done
    if [ "$found" ]; then
        say "$found has no venv module. Install it (Debian, Ubuntu: apt-get install python3-venv)."
    else
        say "No Python from 3.11 to 3.13 found${PYTHON:+ in PYTHON=$PYTHON}. Install one, or name" \
            "it: PYTHON=/path/to/python3.11 $0"
    fi
    return 2
}
