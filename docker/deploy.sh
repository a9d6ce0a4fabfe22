#!/bin/sh
# Rolls the workers out on this machine: docker/deploy.sh --environment production --action deploy --dry-run
# Everything is decided in docker/deploy (Python 3.11, standard library only).
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
PYTHONPATH="$here/deploy" PYTHONDONTWRITEBYTECODE=1 exec "${PYTHON:-python3}" -m unstract_deploy "$@"
