# shellcheck shell=bash
# faults.sh - what goes wrong with a host, and what undoes it.  Sourced by hosts.sh.
#
#   no-return           stays off after the next reboot, until healed
#   no-return=once      the same, but from the next reboot on only (heal lets it come back)
#   no-compute          nova-compute does not start again
#   hang                TCP connects, sshd never speaks
#   freeze              the whole host stands still, open sessions too
#   drop                packets to its ssh port are lost
#   unplug              its cable
#   readdress=J         its ssh name leads to host J, whose key is accepted
#   slow=SEC            every package's scriptlet takes so long
#   post=SEC            the hardware's self-test at each boot takes so long
#   fail-pre=PACKAGE    the package's %pre fails
#   repo=REPOSITORY     one of broken-{pre,post,deps,conflict} is turned on
#   repo-refused        the repositories refuse connections
#   repo-hang           the repositories do not answer
#   lm=FAULT            live migrations fail so: see region/nova_lab/labfake.py
#   lm-seconds=SEC      live migrations take so long
# shellcheck disable=SC2154  # POST is hosts.sh's

freezer_v1() { echo "/sys/fs/cgroup/freezer/$LAB_NS/$1/freezer.state"; }
freezer_v2() { echo "/sys/fs/cgroup/$LAB_NS/$1/cgroup.freeze"; }
freeze() {
  if [ -e "$(freezer_v1 "$1")" ]; then echo FROZEN >"$(freezer_v1 "$1")"; else echo 1 >"$(freezer_v2 "$1")"; fi
}
thaw() {
  if [ -e "$(freezer_v1 "$1")" ]; then echo THAWED >"$(freezer_v1 "$1")"
  elif [ -e "$(freezer_v2 "$1")" ]; then echo 0 >"$(freezer_v2 "$1")"; fi
}
inside() { local i=$1; shift; nsenter -t "$(leader "$i")" -m -p -u -- "$@"; }
ipt()    { local i=$1; shift; ip netns exec "$LAB_NS-$i" iptables -w 10 "$@"; }
known()  { [ -d "$(folder "$1")" ] || die "no host $1"; }

fault() {
  local i=$1 kind=$2 value=${2#*=} ctl file; ctl=$(folder "$i")/ctl
  known "$i"
  case $kind in
    no-return)      touch "$ctl/no-return";;
    no-return=once) touch "$ctl/no-return-once";;
    no-compute)     inside "$i" touch /etc/lab/no-nova-compute;;
    hang)           inside "$i" pkill -STOP --pidfile /run/sshd.pid;;
    freeze)         freeze "$i";;
    drop)           ipt "$i" -A INPUT -p tcp --dport 22 -j DROP;;
    unplug)         link "$i" down;;
    readdress=*)    known "$value"; echo "$value" >"$ctl/readdress"; ssh_config "$(numbers | wc -l)";;
    slow=*)         inside "$i" sh -c "echo $value >/etc/lab/slow-scriptlet";;
    post=*)         echo "$value" >"$ctl/post";;
    fail-pre=*)     inside "$i" touch "/etc/lab/fail-pre/$value";;
    repo=*)         inside "$i" sed -i "/^\[$value\]/,/^enabled/s/^enabled=.*/enabled=1/" /etc/yum.repos.d/lab.repo;;
    repo-refused)   ipt "$i" -A OUTPUT -p tcp --dport 8080 -j REJECT --reject-with tcp-reset;;
    repo-hang)      ipt "$i" -A OUTPUT -p tcp --dport 8080 -j DROP;;
    lm=*|lm-seconds=*)
      [ "$(cat "$(folder "$i")/kind")" != libvirt ] || die "$kind: only the fake driver knows it"
      case $kind in lm=*) file="{\"lab:lm_fault\": \"$value\"}";; *) file="{\"lab:lm_seconds\": \"$value\"}";; esac
      inside "$i" sh -c "echo '$file' >/var/lib/nova/faults.json";;
    *) die "no such fault: $kind";;
  esac
}

heal() {  # every fault; the plug is power's
  local i=$1 ctl; ctl=$(folder "$i")/ctl
  known "$i"
  thaw "$i"; ipt "$i" -F
  rm -f "$ctl"/{no-return,no-return-once,readdress}; echo "$POST" >"$ctl/post"
  ssh_config "$(numbers | wc -l)"
  alive "$(leader "$i" || :)" || return 0
  link "$i" up
  # shellcheck disable=SC2016  # for the shell in the host
  inside "$i" sh -c '
    rm -rf /etc/lab/slow-scriptlet /etc/lab/fail-pre/* /var/lib/nova/faults.json
    if [ -e /etc/lab/no-nova-compute ]; then
      rm /etc/lab/no-nova-compute
      for unit in openstack-nova-compute nova-compute; do
        systemctl cat $unit >/dev/null 2>&1 || continue
        systemctl reset-failed $unit; systemctl --no-block start $unit
      done
    fi
    [ ! -e /run/sshd.pid ] || kill -CONT $(cat /run/sshd.pid)
    [ ! -e /etc/yum.repos.d/lab.repo ] ||
      sed -i "/^\[broken/,/^enabled/s/^enabled=.*/enabled=0/" /etc/yum.repos.d/lab.repo'
}

power() {  # the plug, not an orderly shutdown: the link goes first, so peers see silence
  local i=$1 ctl pid; ctl=$(folder "$i")/ctl
  known "$i"
  case $2 in
    on) rm -f "$ctl/off";;
    off|reset)
      [ "$2" = reset ] || touch "$ctl/off"
      pid=$(leader "$i" || :)
      link "$i" down; thaw "$i"
      [ -z "$pid" ] || kill -9 "$pid";;
    *) die "power I off|on|reset";;
  esac
}

lost() {  # guests that ran on a host when it went down: written by lab-firmware at the boot that follows
  local i file
  for i in $(numbers); do
    file=$(folder "$i")/upper/var/lib/lab/lost-guests
    [ ! -s "$file" ] || cat "$file"
  done
}
