# shellcheck shell=bash
# lib.sh - what lab.sh, hosts/hosts.sh and region/region.sh share.  Sourced, never run.
# The one that sources it sets ME, the name in front of its messages.

LAB_STATE=${LAB_STATE:-/var/tmp/fleetmend-lab}; export LAB_STATE
LAB_NS=${LAB_NS:-rr}; export LAB_NS            # prefix of network namespaces and cgroups
CONTROLLER=/run/netns/$LAB_NS-ctl              # where the control plane and the tests run

say() { printf '[%(%T)T] %s: %s\n' -1 "$ME" "$*" >&2; }
die() { say "$*"; exit 1; }

alive() { [ -n "${1:-}" ] && [ -d "/proc/$1" ]; }

# wait_until SECONDS COMMAND...: true as soon as COMMAND is, false after SECONDS
wait_until() {
  local end=$((SECONDS + $1)); shift
  until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.2; done
}

# made_of FILE...: a checksum that says whether what was made of them is out of date
made_of() { cat "$@" | sha256sum | cut -d' ' -f1; }

# apt_install PACKAGE...: those that are missing; no daemon of theirs is started
apt_install() {
  local package missing=() policy=/usr/sbin/policy-rc.d made='' tmp rc=0
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "apt-get install ${missing[*]}"
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; made=1; }
  tmp=$(mktemp -d); chmod 1777 "$tmp"          # two runs of apt at once share /tmp badly
  { timeout 300 apt-get update -qq -o DPkg::Lock::Timeout=300 || true
    TMPDIR=$tmp DEBIAN_FRONTEND=noninteractive timeout 1500 apt-get install -y -qq \
      --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"
  } >"$LAB_STATE/apt.log" 2>&1 || rc=$?
  [ -z "$made" ] || rm -f $policy
  rm -rf "$tmp"
  [ $rc = 0 ] || { tail -20 "$LAB_STATE/apt.log" >&2; die "apt-get install failed"; }
}
