#!/bin/sh
# Installs baresip-core from Debian's packages where it is not there yet. Status 2: it could not be.
set -eu

command -v baresip >/dev/null 2>&1 && exit 0

if [ "$(id -u)" -eq 0 ]; then
  as_root=""
elif command -v sudo >/dev/null 2>&1; then
  as_root="sudo"
else
  echo "The phone program 'baresip' is missing, and installing it needs root or sudo; neither is there." >&2
  echo "Ask somebody who has it to run: apt-get install baresip-core" >&2
  exit 2
fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "The phone program 'baresip' is missing and this is no Debian: install baresip 1.0 or newer." >&2
  exit 2
fi

echo "installing the phone program (baresip-core) ..."
$as_root apt-get update -qq || echo "apt-get update failed; trying with the lists that are there" >&2
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends baresip-core >/dev/null || {
  echo "baresip-core could not be installed; apt-get says why above." >&2
  exit 2
}
