#!/bin/sh
# Installs Chromium from the system's packages when it is missing and that is allowed.
# Without it the browser tests are skipped, except in CI, where they must run.
set -eu
if command -v chromium >/dev/null 2>&1; then exit 0; fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "No chromium and no apt-get here: install Chromium to run the browser tests." >&2
    exit 0
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "No chromium here and no right to install it: run 'sudo apt install chromium'." >&2
        exit 0
    fi
    sudo="sudo -n"
fi
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq chromium fonts-noto-cjk >/dev/null
