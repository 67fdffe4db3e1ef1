#!/usr/bin/env bash
# Sets up a virtual environment for development: setup.sh FOLDER GROUP
# GROUP is a dependency group of pyproject.toml; "core-test" needs no display.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$1 group=$2

# What Qt 6 and OpenGL need on Debian and Ubuntu, with or without a screen.
packages=(
    fonts-dejavu-core libdbus-1-3 libegl1 libfontconfig1 libgl1 libgl1-mesa-dri
    libglib2.0-0 libopengl0 libxcb-cursor0 libxcb-icccm4 libxcb-image0
    libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0
    libxcb-xinerama0 libxcb-xkb1 libxkbcommon-x11-0
)

say() { printf 'setup: %s\n' "$*" >&2; }

headless() { [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
        then
            echo "$candidate"
            return
        fi
    done
    say "Python 3.11 or newer is not there: install it, or type PYTHON=/its/path make"
    return 1
}

# Prints the packages that are not installed; fails if the lists are too old to know.
missing() {
    local plan
    plan=$(apt-get -s install --no-install-recommends "${packages[@]}" 2>/dev/null) &&
        awk '/^Inst/ {print $2}' <<<"$plan"
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

install_packages() {
    if ! as_root true 2>/dev/null; then
        say "system packages are missing; type this, then make again:"
        say "sudo apt-get install --no-install-recommends ${packages[*]}"
        return 1
    fi
    say "installing system packages for Qt and OpenGL"
    as_root apt-get -qq -o DPkg::Lock::Timeout=120 update >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=120 install --no-install-recommends "${packages[@]}" >/dev/null
}

system_packages() {
    if ! command -v apt-get >/dev/null; then
        say "not Debian or Ubuntu: Qt 6, OpenGL and xvfb-run must be there already"
        return
    fi
    if headless; then packages+=(xauth xvfb); fi
    local found
    if ! found=$(missing) || [ -n "$found" ]; then install_packages; fi
}

python=$(find_python)
if [ "$(uname)" = Linux ] && [ "$group" != core-test ]; then system_packages; fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    packages=("python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv")
    install_packages
fi
if [ ! -x "$folder/bin/python" ]; then "$python" -m venv "$folder"; fi

say "installing the project and its group $group into $folder"
pip=("$folder/bin/python" -m pip install -qq --disable-pip-version-check)
"${pip[@]}" --upgrade "pip>=25.1"
# torch by itself first: the pinned version must be settled before anything asks for it.
"${pip[@]}" --group torch
"${pip[@]}" --editable . --group "$group"
