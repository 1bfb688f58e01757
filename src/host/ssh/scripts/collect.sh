# Everything that fleetmend wants to know of a host, in one round trip; `host::facts` says what each section holds.
# Arguments: PACKAGES (a list) OPTIONS (a list of SECTION/OPTION patterns of nova.conf that may leave the host)
# KERNEL_FILES (a list) GUEST_FLAGS (a list of features of guests' processors) PROCESSES (a list) REPOSITORIES (`ask`, or
# empty).
packages=$1 options=$2 kernel_paths=$3 guest_flags=$4 processes=$5 repositories=$6

os_release() {
  for os_path in /etc/os-release /usr/lib/os-release; do
    [ ! -r "$os_path" ] || { cat "$os_path"; return; }
  done
  echo "no os-release" >&2
  return 1
}

first_processor() { sed '/^[[:space:]]*$/q' /proc/cpuinfo; }

# GRUB without grubby: the first entry of grub.cfg, when that is the one that is booted without a choice.
grub_first() { # AWK-EXPRESSION over the fields of the first `linux` line
  for grub_path in /boot/grub/grub.cfg /boot/grub2/grub.cfg; do
    [ -r "$grub_path" ] && grep -q '^ *set default="0"' "$grub_path" || continue
    within 10 awk '$1 ~ /^linux(16|efi)?$/ { '"$1"'; found = 1; exit } END { exit !found }' "$grub_path" && return
  done
  return 127
}

default_kernel() {
  if there grubby; then within 20 grubby --default-kernel; else grub_first 'print $2'; fi
}

default_command_line() {
  if there grubby; then
    grub_entry=$(within 20 grubby --info=DEFAULT) || return
    printf '%s\n' "$grub_entry" | sed -n 's/^args="\(.*\)"$/\1/p' | head -n 1
  else
    grub_first '$1 = ""; $2 = ""; sub(/^ +/, ""); print'
  fi
}

# Lines whose first word is one of the packages: the whole database is read, because asking for names makes a name that
# is not installed look like a failure.
asked() { names=$packages awk 'BEGIN { n = split(ENVIRON["names"], list, "\n"); for (i = 1; i <= n; i++) asked[list[i]] = 1 } $1 in asked'; }

rpm_packages() {
  there rpm || return
  rpm_list=$(within 60 rpm -qa --qf '%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE} %{ARCH}\n') || return
  printf '%s\n' "$rpm_list" | asked
}

dpkg_packages() {
  there dpkg-query || return
  dpkg_list=$(within 60 dpkg-query -W -f '${Package} ${Version} ${Architecture} ${db:Status-Status}\n') || return
  printf '%s\n' "$dpkg_list" | asked
}

vulnerabilities() {
  cd /sys/devices/system/cpu/vulnerabilities || return
  set +f
  for vulnerability in *; do
    vulnerability_says=
    read -r vulnerability_says <"$vulnerability" || [ -n "$vulnerability_says" ] || continue
    printf '%s: %s\n' "$vulnerability" "$vulnerability_says"
  done
}

kernel_files() {
  for kernel_path in $kernel_paths; do
    case $kernel_path in
      *..* | *[!A-Za-z0-9._/:-]*) continue ;;
      /sys/* | /proc/sys/*) ;;
      *) continue ;;
    esac
    if [ ! -e "$kernel_path" ]; then
      printf -- '- %s\n' "$kernel_path"
    elif kernel_text=$(within 5 head -c 4096 "$kernel_path" 2>/dev/null); then
      printf '= %s %s\n' "$kernel_path" "${kernel_text%%"$newline"*}"
    else
      printf '! %s\n' "$kernel_path"
    fi
  done
}

# Whether the distribution says that a reboot is due. A file that is absent says "no" only where something would write it.
pending_reboot() {
  if [ -e /run/reboot-required ]; then
    echo yes
    [ ! -r /run/reboot-required.pkgs ] || sort -u /run/reboot-required.pkgs
  elif there needs-restarting; then
    # Status 1 is its "yes", and also how it fails.
    if reboot_words=$(within 60 needs-restarting -r); then
      echo no
    else
      printf '%s\n' "$reboot_words" | grep -qi 'reboot is required' || { printf '%s\n' "$reboot_words"; return 1; }
      echo yes
      printf '%s\n' "$reboot_words" | sed -n 's/^ *\* *//p'
    fi
  elif [ -e /usr/share/update-notifier/notify-reboot-required ] || [ -e /etc/kernel/postinst.d/unattended-upgrades ]; then
    echo no
  else
    return 127
  fi
}

kernel_log() {
  log_lines=$(within 20 dmesg) || return
  printf '%s\n' "$log_lines" | grep -i -e mitigation -e vulnerable -e 'not affected' || :
}

domain_capabilities() { within 30 $virsh domcapabilities --virttype kvm 2>/dev/null || within 30 $virsh domcapabilities; }

# One line for each line of the file: itself when its option may leave the host, empty otherwise, so that passwords stay
# and line numbers hold. A line that oslo.config would not accept becomes one that the parser does not accept either.
conf_kept() { # PATH
  [ -f "$1" ] || { echo "no such file" >&2; return 1; }
  wanted=$options awk '
    BEGIN { n = split(ENVIRON["wanted"], list, "\n") }
    function is_kept(name,   i, want) {
      for (i = 1; i <= n; i++) {
        want = list[i]
        if (want == name) return 1
        if (want ~ /\*$/ && index(name, substr(want, 1, length(want) - 1)) == 1) return 1
      }
      return 0
    }
    { line = $0; sub(/[ \t\r]+$/, "", line) }
    line == "" || line ~ /^[#;]/ { open = 0; print ""; next }
    line ~ /^[ \t]/ { print (open == 0 ? " misplaced" : open == 1 ? "" : line); next }
    line ~ /^\[/ {
      open = 0
      if (line !~ /^\[.+\]$/) { print "["; next }
      section = substr(line, 2, length(line) - 2)
      if (section != "DEFAULT") section = tolower(section)
      print "[" section "]"; next
    }
    line !~ /[=:]/ { open = 0; print "malformed"; next }
    {
      match(line, /[=:]/)
      option = substr(line, 1, RSTART - 1)
      gsub(/^[ \t]+|[ \t]+$/, "", option)
      if (option == "") { open = 0; print "="; next }
      open = is_kept(section "/" option) ? 2 : 1
      print (open == 2 ? line : "")
    }' <"$1"
}

nova_configuration() { # frames, not a body: one for each file
  conf_number=0
  for conf_path in $(conf_files); do
    part "$(printf 'nova-conf/%03d/%s' "$conf_number" "$conf_path")" conf_kept "$conf_path"
    conf_number=$((conf_number + 1))
  done
}

# Seconds for which the process of a domain runs; `-` where that cannot be told.
guest_age() { # NAME
  for guest_pid_file in "/run/libvirt/qemu/$1.pid" "/var/run/libvirt/qemu/$1.pid"; do
    [ -r "$guest_pid_file" ] || continue
    guest_age=$(within 5 ps -o etimes= -p "$(cat "$guest_pid_file")" 2>/dev/null | tr -d ' ') || continue
    case $guest_age in
      '' | *[!0-9]*) continue ;;
      *) printf '%s\n' "$guest_age"; return ;;
    esac
  done
  echo -
}

# The live processor of each domain that runs: what is defined for its next start says nothing of it. Of features only
# those that somebody asks for.
guests() {
  [ -n "$guest_flags" ] || return 127
  guest_ids=$(domain_ids) || return
  for guest_id in $guest_ids; do
    guest_xml=$(within 20 $virsh dumpxml "$guest_id" 2>/dev/null) || { printf '! %s\n' "$guest_id"; continue; }
    guest_name=$(printf '%s\n' "$guest_xml" | sed -n 's/^ *<name>\([A-Za-z0-9_.-]*\)<\/name>$/\1/p' | head -n 1)
    printf '= %s %s\n' "$guest_id" "$(guest_age "$guest_name")"
    printf '%s\n' "$guest_xml" | flags=$guest_flags awk '
      BEGIN { n = split(ENVIRON["flags"], list, "\n") }
      /^  <cpu[ >\/]/ { inside = 1 }
      inside && /<feature / {
        for (i = 1; i <= n; i++) if (index($0, "name=\047" list[i] "\047") || index($0, "name=\"" list[i] "\"")) print
        next
      }
      inside && /<(cpu|\/cpu|model)[ >\/]/ { print }
      /^  <\/cpu>/ || /^  <cpu[^>]*\/>/ { inside = 0 }'
  done
}

numa_cells() {
  [ -d /sys/devices/system/node/node0 ] || return 127
  for node in $(ls /sys/devices/system/node | sed -n 's/^node\([0-9][0-9]*\)$/\1/p'); do
    folder=/sys/devices/system/node/node$node
    printf '%s cpus %s\n' "$node" "$(cat "$folder/cpulist")"
    sed -n "s/^Node $node MemTotal: *\([0-9]*\) kB\$/$node memory \1/p" "$folder/meminfo"
    for size in $(ls "$folder/hugepages" 2>/dev/null | sed -n 's/^hugepages-\([0-9]*\)kB$/\1/p'); do
      printf '%s pages %s %s\n' "$node" "$size" "$(cat "$folder/hugepages/hugepages-${size}kB/nr_hugepages")"
    done
  done
}

# What a reboot can lose: lines of KIND NAME, a tab, an amount. Left out is what comes and goes with instances: volumes
# that Nova mounts or attaches, taps, virtual functions that guests were given.
fingerprint() {
  set +f
  awk '
    $2 ~ /^\/(run|snap)\// || $2 ~ /^\/var\/lib\/(docker|containers|kubelet)\// || $2 ~ /\/mnt\/[0-9a-f]+$/ || $1 ~ /^\/dev\/loop/ { next }
    $1 ~ /^\/dev\// || $3 ~ /^(nfs4?|ceph|cifs|gfs2|ocfs2|lustre|zfs|hugetlbfs|fuse\.(glusterfs|ceph))$/ { print "mount " $2 "\t" }
  ' /proc/mounts
  if there multipathd >/dev/null; then
    within 10 multipathd show maps raw format '%n %d %N' 2>/dev/null | while IFS=' ' read -r map_name map_device map_paths; do
      # A map that nothing of the host is on is an instance's volume.
      grep -q "^/dev/mapper/$map_name " /proc/mounts || [ -n "$(ls "/sys/block/$map_device/holders" 2>/dev/null)" ] || continue
      printf 'multipath %s\t%s\n' "$map_name" "$map_paths"
    done
  fi
  for link in /sys/class/net/*; do
    link_name=${link##*/}
    [ -e "$link/device" ] || [ -d "$link/bonding" ] || continue
    [ ! -e "$link/device/physfn" ] || continue
    [ "$(cat "$link/operstate" 2>/dev/null)" != up ] || printf 'link %s\tup\n' "$link_name"
    link_functions=$(cat "$link/device/sriov_numvfs" 2>/dev/null) || link_functions=0
    [ "$link_functions" = 0 ] || printf 'vfs %s\t%s\n' "$link_name" "$link_functions"
    for bond_port in $(tr ' ' '\n' 2>/dev/null <"$link/bonding/slaves"); do
      [ "$(cat "/sys/class/net/$bond_port/bonding_slave/mii_status" 2>/dev/null)" != up ] ||
        printf 'bond-port %s %s\tup\n' "$link_name" "$bond_port"
    done
  done 2>/dev/null
  for pages in /sys/kernel/mm/hugepages/hugepages-*kB; do
    pages_count=$(cat "$pages/nr_hugepages" 2>/dev/null) || continue
    pages_size=${pages##*hugepages-}
    [ "$pages_count" = 0 ] || printf 'hugepages %s\t%s\n' "${pages_size%kB}" "$pages_count"
  done
  awk '$1 == "MemTotal:" { print "memory\t" $2 }' /proc/meminfo
  printf 'cpus\t%s\n' "$(getconf _NPROCESSORS_ONLN)"
  within 10 systemctl list-units --all --plain --no-legend --no-pager --state=failed 2>/dev/null |
    awk '$1 !~ /^(fleetmend-|user@|session-)/ && $1 !~ /nova-compute/ { print "failed-unit " $1 "\t" }'
  within 10 systemctl list-units --plain --no-legend --no-pager --type=service --state=active \
    'neutron-*' 'ovn-controller*' 'openvswitch*' 'ovs-vswitchd*' 2>/dev/null |
    awk '{ sub(/\.service$/, "", $1); print "agent " $1 "\tactive" }'
  if there timedatectl >/dev/null; then
    if within 10 timedatectl status 2>/dev/null | grep -qi 'synchronized: yes'; then printf 'time\tyes\n'; else printf 'time\tno\n'; fi
  fi
}

# Packages that the package manager is told to leave as they are: by what, a tab, its line.
holds() {
  if there apt-mark >/dev/null; then
    within 20 apt-mark showhold | sed 's/^/apt-mark hold\t/' || return
  fi
  for lock_path in /etc/dnf/plugins/versionlock.list /etc/yum/pluginconf.d/versionlock.list; do
    [ ! -r "$lock_path" ] || sed -n "s|^[[:space:]]*\([^#[:space:]].*\)\$|versionlock ($lock_path)\t\1|p" "$lock_path"
  done
  [ ! -r /etc/dnf/versionlock.toml ] ||
    sed -n 's|^ *name *= *"\(.*\)"|versionlock (/etc/dnf/versionlock.toml)\t\1|p' /etc/dnf/versionlock.toml
  for lock_path in /etc/dnf/dnf.conf /etc/yum.conf; do
    [ ! -r "$lock_path" ] || sed -n 's/^ *exclude\(pkgs\)\{0,1\} *= *//p' "$lock_path" | tr ', ' '\n\n' |
      sed -n "s|^\(..*\)\$|exclude ($lock_path)\t\1|p"
  done
}

units() {
  there systemctl || return
  unit_list=$(within 20 systemctl list-units --type=service --state=active --plain --no-legend --no-pager) || return
  printf '%s\n' "$unit_list" | awk '{ print $1 }'
}

# Processes that end meanwhile cannot be read, which is no failure. OpenStack's own write what they do behind their name:
# `nova-conductor: ServiceWrapper`.
processes() {
  set +f
  process_names=$(cat /proc/[0-9]*/comm 2>/dev/null)
  set -f
  [ -n "$process_names" ] || { echo "no process can be seen" >&2; return 1; }
  printf '%s\n' "$process_names" | sed 's/:.*//' | sort -u | grep -xF "$processes" || :
}

containers() {
  container_status=127
  for container_tool in podman docker; do
    there "$container_tool" || continue
    within 20 "$container_tool" ps --format '{{.Names}}	{{.Image}}' || return
    container_status=0
  done
  return "$container_status"
}

gateway() {
  gateway_status=127
  if [ -r /etc/neutron/l3_agent.ini ]; then
    gateway_status=0
    sed -n 's/^agent_mode *= *\([a-z_]*\).*$/l3 \1/p' /etc/neutron/l3_agent.ini | tail -n 1
  fi
  if there ovs-vsctl; then
    gateway_status=0
    # Without such an option, or with no Open vSwitch that answers, the host is no chassis.
    gateway_options=$(within 5 ovs-vsctl --timeout=3 get open_vswitch . external_ids:ovn-cms-options 2>/dev/null) &&
      printf 'ovn %s\n' "$gateway_options"
  fi
  return "$gateway_status"
}

# Where packages and their downloads go; a path that is on another file system than its parent is told of its own.
free_space() {
  for free_path in / /boot /usr /var /var/cache; do
    [ ! -d "$free_path" ] || printf '%s %s\n' "$free_path" "$(stat -f -c '%a %S' "$free_path")"
  done
}

addresses() {
  there ip || return
  address_list=$(within 10 ip -o addr show scope global) || return
  printf '%s\n' "$address_list" | awk '{ print $4 }'
}

# One repository after the other, so that each is told of, and none for longer than a minute.
rpm_repositories() { # PROGRAM
  repository_list=$(within 30 "$1" -q repolist --enabled 2>/dev/null || within 30 "$1" -q repolist enabled) || return
  for repository in $(printf '%s\n' "$repository_list" | awk 'tolower($1) != "repo" && !/^repo id/ { sub(/^!/, "", $1); sub(/\/.*/, "", $1); print $1 }'); do
    if repository_words=$(within 60 "$1" -q --disablerepo='*' --enablerepo="$repository" --setopt=timeout=10 \
      --setopt=retries=1 --setopt="$repository.skip_if_unavailable=0" --setopt=metadata_expire=0 makecache 2>&1); then
      printf '+ %s\n' "$repository"
    else
      printf -- '- %s %s\n' "$repository" "$(printf '%s' "$repository_words" | tail -n 3 | tr '\n' ' ')"
    fi
  done
}

deb_repositories() {
  repository_folder=$(mktemp -d) || return
  repository_list=$(within 30 apt-get --print-uris update) || return
  for repository in $(printf '%s\n' "$repository_list" | sed -n "s/^'\([^']*\/\(In\)\{0,1\}Release\)'.*$/\1/p"); do
    if repository_words=$(within 60 /usr/lib/apt/apt-helper -o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10 \
      -o Acquire::Retries=0 download-file "$repository" "$repository_folder/release" 2>&1); then
      printf '+ %s\n' "${repository%/*}"
    else
      printf -- '- %s %s\n' "${repository%/*}" "$(printf '%s' "$repository_words" | tail -n 3 | tr '\n' ' ')"
    fi
    rm -f "$repository_folder/release"
  done
  rmdir "$repository_folder"
}

# As the package manager asks them: with its proxies, keys and variables.
repositories() {
  if there apt-get && [ -x /usr/lib/apt/apt-helper ] && [ -e /var/lib/dpkg/status ] && ! [ -e /etc/redhat-release ]; then
    deb_repositories
  elif there dnf; then
    rpm_repositories dnf
  elif there yum; then
    rpm_repositories yum
  else
    return 127
  fi
}

compute_state() {
  compute_name=$(unit_of_compute) || return
  within 10 systemctl show -p LoadState -p ActiveState "$compute_name.service"
}

main() {
  part clock date +%s
  part machine-id cat /etc/machine-id
  part hostname host_name
  part nova-host nova_host
  part os-release os_release
  part architecture uname -m
  part cpuinfo first_processor
  part numa numa_cells
  part kernel uname -r
  part default-kernel default_kernel
  part command-line cat /proc/cmdline
  part default-command-line default_command_line
  part boot-id cat /proc/sys/kernel/random/boot_id
  part uptime cat /proc/uptime
  part rpm rpm_packages
  part dpkg dpkg_packages
  part vulnerabilities vulnerabilities
  part kernel-files kernel_files
  part pending-reboot pending_reboot
  part kernel-log kernel_log
  part domain-capabilities domain_capabilities
  part domains domains
  part guests guests
  nova_configuration
  part units units
  part processes processes
  part containers containers
  part gateway gateway
  part free free_space
  part user-id id -u
  part addresses addresses
  [ -z "$repositories" ] || part repositories repositories
  part compute-unit compute_state
  part fingerprint fingerprint
  part holds holds
}
