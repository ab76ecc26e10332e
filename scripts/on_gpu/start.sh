#!/bin/sh
# Starts fathom from this folder with a libtorch 2.11.0 that is on this machine:
#   FATHOM_LIBTORCH=DIR     libtorch's folder of libraries (lib); else
#   FATHOM_PYTHON=PYTHON    the torch of this Python, which is not imported; else of python3, else of python.
# Commands that only read and write files do without libtorch.
wanted=2.11.0
here=$(dirname -- "$(readlink -f -- "$0")")
program=$here/bin/fathom

fail() {
    printf 'fathom: %s\n' "$1" >&2
    exit 1
}

# The version of the libtorch whose libraries are in a folder; empty where nothing tells it.
version_of() {
    if [ -f "$1/../version.py" ]; then
        sed -n "s/^__version__ = ['\"]\([^'\"]*\)['\"].*/\1/p" "$1/../version.py"
    elif [ -f "$1/../build-version" ]; then
        cat "$1/../build-version"
    fi
}

is_wanted() {
    case $1 in
        "$wanted" | "$wanted"+*) return 0 ;;
        *) return 1 ;;
    esac
}

# The folder of the torch of a Python; empty where it has none.
torch_of() {
    "$1" -c 'import sys
sys.path[:] = [folder for folder in sys.path if folder]
import importlib.util, os
found = importlib.util.find_spec("torch")
print(os.path.dirname(found.origin) if found and found.origin else "")' 2>/dev/null
}

# Sets lib to the folder of libraries of the first of these Pythons that has the wanted torch, and why to the reasons
# against those before it. Their paths may have spaces.
search() {
    for python in "$@"; do
        path=$(command -v "$python") || {
            why="${why:+$why; }there is no program $python"
            continue
        }
        folder=$(torch_of "$path")
        version=""
        [ -z "$folder" ] || version=$(version_of "$folder/lib")
        if [ -z "$folder" ]; then
            why="${why:+$why; }$path has no torch"
        elif is_wanted "$version"; then
            lib=$folder/lib
            return
        else
            why="${why:+$why; }$path has torch ${version:-of an unknown version}"
        fi
    done
}

remedy="install torch==$wanted in a Python environment and name its program in FATHOM_PYTHON, or name the lib \
folder of a libtorch $wanted in FATHOM_LIBTORCH"
lib="" why=""
if [ -n "${FATHOM_LIBTORCH:-}" ]; then
    version=$(version_of "$FATHOM_LIBTORCH")
    if [ ! -e "$FATHOM_LIBTORCH/libtorch_cpu.so" ]; then
        why="FATHOM_LIBTORCH names $FATHOM_LIBTORCH, where there is no libtorch_cpu.so"
    elif is_wanted "$version"; then
        lib=$FATHOM_LIBTORCH
    else
        why="FATHOM_LIBTORCH names $FATHOM_LIBTORCH, which is libtorch ${version:-of an unknown version}"
    fi
elif [ -n "${FATHOM_PYTHON:-}" ]; then
    search "$FATHOM_PYTHON"
else
    search python3 python
fi

if [ -z "$lib" ]; then
    case ${1:-help} in
        run | bench | plan | eval | landscape | look | doctor | cancel) fail "no libtorch $wanted was found: $why; $remedy" ;;
    esac
else
    LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
fi
exec "$program" "$@"
