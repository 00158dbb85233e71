#!/bin/sh
# Installs from Debian's packages what is not there yet: the phone program (baresip-core) and the speech synthesiser
# (espeak-ng). Status 2: it could not be.
set -eu

missing=""
command -v baresip >/dev/null 2>&1 || missing="baresip-core"
command -v espeak-ng >/dev/null 2>&1 || missing="$missing espeak-ng"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
  as_root=""
elif command -v sudo >/dev/null 2>&1; then
  as_root="sudo"
else
  echo "Missing are: $missing. Installing needs root or sudo; neither is there." >&2
  echo "Ask somebody who has it to run: apt-get install $missing" >&2
  exit 2
fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "Missing are: $missing, and this is no Debian: install baresip 1.0 or newer and espeak-ng." >&2
  exit 2
fi

echo "installing $missing ..."
$as_root apt-get update -qq || echo "apt-get update failed; trying with the lists that are there" >&2
# shellcheck disable=SC2086 # the names are words of their own
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null || {
  echo "$missing could not be installed; apt-get says why above." >&2
  exit 2
}
