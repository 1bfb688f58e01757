# Start of every script. Read by `sh -s` (dash, bash, busybox) with LC_ALL=C; the adapter puts braces around the whole, so
# that a script cut short by a broken connection is a syntax error and runs nothing.
#
# Arguments: NONCE VIRSH NOVA_CONF COMPUTE_UNIT TOKEN, then the script's own. A list is one argument, an item a line.
# Answer on standard output, in frames that nothing inside a body can forge:
#     @NONCE STATUS LENGTH NAME<newline>LENGTH bytes<newline>     any number of times
#     @NONCE end STATUS<newline>                                  once, last
set -uf
newline='
'
# Words end at line ends only: a list is used unquoted, and its items may hold blanks.
IFS=$newline
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# Without root's rights virsh would otherwise ask the user's own libvirt, where there are no domains at all.
LIBVIRT_DEFAULT_URI=${LIBVIRT_DEFAULT_URI:-qemu:///system}
export PATH LIBVIRT_DEFAULT_URI

nonce=$1 virsh=$2 nova_conf=$3 compute_unit=$4 token=$5
shift 5
words=$(mktemp) || words=/dev/null
trap '[ "$words" = /dev/null ] || rm -f "$words"' EXIT

# Reserved statuses of the end frame; `wire.rs` knows them too.
wrong_machine=90 not_quiet=91 failed=92

frame() { # NAME STATUS BODY
  printf '@%s %s %s %s\n%s\n' "$nonce" "$2" "${#3}" "$1" "$3"
}

finish() { # STATUS
  printf '@%s end %s\n' "$nonce" "$1"
  exit 0
}

refuse() { # STATUS WHY
  frame why 0 "$2"
  finish "$1"
}

part() { # NAME COMMAND...: a frame of what the command prints; of its complaints as well when it fails
  part_name=$1
  shift
  part_body=$("$@" 2>"$words")
  part_status=$?
  [ "$part_status" = 0 ] || part_body=$part_body$newline$(tail -c 4000 "$words")
  frame "$part_name" "$part_status" "$part_body"
}

within() { # SECONDS COMMAND...: 124 when it takes longer
  timeout -k 5 "$@"
}

there() { # COMMAND: 127, the shell's own word for it, when the host does not have it
  command -v "$1" >/dev/null || return 127
}

host_name() { cat /proc/sys/kernel/hostname; }

# nova-compute's configuration files in its order: of a folder, *.conf sorted.
conf_files() {
  for conf_path in $nova_conf; do
    if [ -d "$conf_path" ]; then
      set +f
      for conf_file in "$conf_path"/*.conf; do
        [ ! -e "$conf_file" ] || printf '%s\n' "$conf_file"
      done
      set -f
    else
      printf '%s\n' "$conf_path"
    fi
  done
}

# Nova's own name for this host: [DEFAULT] host, the last one counts; else the host name. A reference to another option
# is not resolved: then this host cannot prove who it is.
nova_host() {
  for conf_path in $(conf_files); do
    [ -r "$conf_path" ] || { echo "$conf_path cannot be read" >&2; return 1; }
  done
  nova_host=$(awk '
    FNR == 1 { section = "" }
    { sub(/[ \t\r]+$/, "") }
    /^\[/ { section = substr($0, 2, length($0) - 2); next }
    section != "DEFAULT" || /^[#; \t]/ || !/[=:]/ { next }
    {
      match($0, /[=:]/)
      option = substr($0, 1, RSTART - 1); value = substr($0, RSTART + 1)
      gsub(/^[ \t]+|[ \t]+$/, "", option); gsub(/^[ \t]+|[ \t]+$/, "", value)
      quote = substr(value, 1, 1)
      if ((quote == "\"" || quote == "\047") && substr(value, length(value)) == quote) value = substr(value, 2, length(value) - 2)
      if (option == "host") host = value
    }
    END { print host }' $(conf_files) /dev/null) || return
  case $nova_host in
    '') host_name ;;
    *\$*) echo "[DEFAULT] host of nova.conf refers to another option" >&2; return 1 ;;
    *) printf '%s\n' "$nova_host" ;;
  esac
}

# Refuses a runner whose region somebody has taken since. TOKEN is SPACE:NUMBER, empty where nobody counts; numbers of two
# spaces do not compare. The highest one that was here is kept until the host reboots; the lock makes look and note one.
must_lead() {
  [ -n "$token" ] || return 0
  lead_folder=${FLEETMEND_RUN:-/run/fleetmend}
  mkdir -p -m 755 "$lead_folder" 2>"$words" || refuse "$failed" "cannot keep the runner's token: $(cat "$words")"
  lead_before=$( (
    flock -w 20 9 2>/dev/null
    cat "$lead_folder/token" 2>/dev/null
    lead_found=$(cat "$lead_folder/token" 2>/dev/null)
    if [ "${lead_found%%:*}" = "${token%%:*}" ] && [ "${lead_found##*:}" -ge "${token##*:}" ] 2>/dev/null; then exit; fi
    printf '%s\n' "$token" >"$lead_folder/token.new" && mv "$lead_folder/token.new" "$lead_folder/token"
  ) 9>"$lead_folder/token.lock")
  [ "${lead_before%%:*}" = "${token%%:*}" ] || return 0
  [ "${lead_before##*:}" -le "${token##*:}" ] ||
    refuse "$failed" "another runner has taken this region since: its token is ${lead_before##*:}, and this one's ${token##*:}"
}

# Refuses to go on when this is another machine than MACHINE_ID NOVA_HOST HOSTNAME say; an empty HOSTNAME says nothing.
# Whatever changes a host begins with this.
must_be() {
  must_found=$(cat /etc/machine-id 2>/dev/null)
  [ "$must_found" = "$1" ] || refuse "$wrong_machine" "the machine that answers has machine-id ${must_found:-unknown}, not $1"
  must_found=$(nova_host 2>/dev/null)
  [ "$must_found" = "$2" ] || refuse "$wrong_machine" "the machine that answers is ${must_found:-unknown} to Nova, not $2"
  must_found=$(host_name)
  [ -z "$3" ] || [ "$must_found" = "$3" ] ||
    refuse "$wrong_machine" "the machine that answers is called ${must_found:-nothing}, not $3"
  must_lead
}

# The nova-compute unit: the one that was configured, else the first that systemd knows.
unit_of_compute() {
  [ -z "$compute_unit" ] || { printf '%s\n' "$compute_unit"; return; }
  for unit_name in openstack-nova-compute nova-compute; do
    case $(within 10 systemctl show -p LoadState "$unit_name.service" 2>/dev/null) in
      LoadState=loaded | LoadState=masked) printf '%s\n' "$unit_name"; return ;;
    esac
  done
  echo "systemd knows neither openstack-nova-compute nor nova-compute" >&2
  return 1
}

# UUIDs of domains; the arguments are those of `virsh list`.
domain_ids() {
  domain_list=$(within 30 $virsh list --uuid "$@") || return
  for domain_id in $domain_list; do
    case $domain_id in
      *[!0-9A-Fa-f-]*) printf 'virsh list --uuid says %s\n' "$domain_id" >&2; return 1 ;;
      *) printf '%s\n' "$domain_id" ;;
    esac
  done
}

domains() {
  domain_all=$(domain_ids --all) || return
  for domain_id in $domain_all; do
    # A domain that went away in between has no state; the parser takes that as running.
    domain_state=$(within 10 $virsh domstate "$domain_id" 2>/dev/null) || domain_state=gone
    domain_name=$(within 10 $virsh domname "$domain_id" 2>/dev/null) || domain_name=
    printf '%s\t%s\t%s\n' "$domain_id" "$domain_state" "$domain_name"
  done
}
