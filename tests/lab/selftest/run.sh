#!/bin/bash
# run.sh - proves the lab itself, by hand and without fleetmend.  Leaves the lab up.
#
#   run.sh remediate   4 hosts, 12 instances: every host emptied, updated, rebooted, given back
#   run.sh faults      the same region: what goes wrong, and how it shows
#   run.sh libvirt     2 hosts with real guests: one host emptied live, updated, rebooted
set -euo pipefail
here=$(dirname "$(realpath "$0")")
lab=$(realpath "$here/../lab.sh")

# shellcheck disable=SC2016  # LAB_PYTHON is set in the lab
in_lab() { timeout 900 "$lab" exec sh -c 'exec "$LAB_PYTHON" "$@"' sh "$@"; }
four_hosts() { timeout 2400 "$lab" up 4; timeout 600 "$lab" fill 12; }

two_real_hosts() {
  local guest
  DRIVER=libvirt timeout 2400 "$lab" up 2
  timeout 600 "$lab" fill 3
  for guest in vm-03-active-tiny aa-db-1-active-small-dirty; do   # all that is on compute-2
    in_lab "$here/libvirt_move.py" $guest
  done
  in_lab "$here/remediate.py" compute-2
  [ -z "$("$lab" lost)" ]
  echo "no guest was lost"
}

case ${1:-} in
  remediate) four_hosts; in_lab "$here/remediate.py" compute-1 compute-2 compute-3 compute-4;;
  faults)    four_hosts; in_lab "$here/faults.py";;
  libvirt)   two_real_hosts;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2;;
esac
