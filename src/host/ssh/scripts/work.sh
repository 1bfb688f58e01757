# The script of a job; runs as a transient unit on the host. Argument: its folder, with `arguments`, `compute` (the name of
# the nova-compute unit, or empty) and, as it goes, `output`. The job's arguments, a line each:
#     stage PACKAGE...      downloads updates
#     update PACKAGE...     repairs what was left half done, then installs updates
#     stage-all MANAGER     downloads every update there is; MANAGER is rpm or dpkg
#     update-all MANAGER    installs every update there is
#     flags FILE FLAG...    adds CPU flags to nova.conf
# PACKAGE is rpm:NAME or dpkg:NAME. But for the jobs that say all, only the named packages and what they need are touched.
set -uf
newline='
'
IFS=$newline
folder=$1
exec >>"$folder/output" 2>&1 </dev/null
set -- $(cat "$folder/arguments")
kind=$1
shift
LC_ALL=C HOME=${HOME:-/root} DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL HOME DEBIAN_FRONTEND NEEDRESTART_MODE NEEDRESTART_SUSPEND PATH

say() { printf 'fleetmend: %s\n' "$1"; }
run() { say "running $(echo "$@" | tr '\n' ' ')"; "$@"; }

# ---- rpm ----------------------------------------------------------------------------------------------------------------
# A repository that does not answer otherwise holds dnf for minutes: 30 s to connect, twice.
rpm_tool() {
  if command -v dnf >/dev/null; then dnf -y --setopt=timeout=30 --setopt=retries=2 "$@"
  else yum -y --setopt=timeout=30 --setopt=retries=2 "$@"; fi
}

# Names and architectures that are installed twice, but for those that are meant to be (kernels, keys): what a power cut
# in the middle of a transaction leaves. A further update returns 0 and leaves them as they are.
rpm_duplicates() {
  rpm -qa --qf '%{NAME}.%{ARCH}[ %{PROVIDENAME}]\n' | awk '
    /^gpg-pubkey\./ || / installonlypkg\(/ || /^kernel(-|\.)/ { next } { print $1 }' | sort | uniq -d
}

rpm_repair() {
  duplicates=$(rpm_duplicates)
  [ -n "$duplicates" ] || return 0
  say "installed twice: $(echo $duplicates)"
  if command -v dnf >/dev/null; then run rpm_tool remove --duplicates
  elif command -v package-cleanup >/dev/null; then run package-cleanup -y --cleandupes
  else say "package-cleanup of yum-utils is needed to repair that"; return 1; fi
}

# What was published since dnf last looked: it looks every two days.
rpm_refresh() {
  if command -v dnf >/dev/null; then run rpm_tool --refresh makecache
  else run rpm_tool clean expire-cache && run rpm_tool makecache fast; fi
}

rpm_names() { # of the asked packages, those that are installed: an update installs nothing for its own sake
  for rpm_name in "$@"; do
    case $rpm_name in
      rpm:*) ! rpm -q "${rpm_name#rpm:}" >/dev/null 2>&1 || printf '%s\n' "${rpm_name#rpm:}" ;;
    esac
  done
}

rpm_job() { # KIND PACKAGE...
  rpm_kind=$1
  shift
  names=$(rpm_names "$@")
  [ "$all" = yes ] || [ -n "$names" ] || { say "none of the rpm packages is installed"; return 0; }
  refreshed=0
  rpm_refresh || refreshed=$?
  case $rpm_kind:$refreshed in
    stage:0) run rpm_tool update --downloadonly $names ;;
    stage:*) return "$refreshed" ;;
    *:0) rpm_repair && run rpm_tool update $names ;;
    # Repositories that went away after staging do not hold up a host that is empty already.
    *) say "no repository answers: going on with what was downloaded"; rpm_repair && run rpm_tool -C update $names ;;
  esac
}

# ---- dpkg ---------------------------------------------------------------------------------------------------------------
# Waits for apt's and dpkg's locks, which older apt does not: 60 times 10 s. Keeps old configuration files.
apt() {
  apt_tries=0
  while :; do
    apt_before=$(wc -c <"$folder/output")
    apt-get -y -o DPkg::Lock::Timeout=600 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 -o Acquire::Retries=2 \
      -o APT::Update::Error-Mode=any -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
    apt_status=$?
    [ "$apt_status" != 0 ] || return 0
    tail -c "+$((apt_before + 1))" "$folder/output" |
      grep -q -e 'Could not get lock' -e 'Unable to lock' -e 'Unable to acquire the dpkg frontend lock' || return "$apt_status"
    apt_tries=$((apt_tries + 1))
    [ "$apt_tries" -lt 60 ] || return "$apt_status"
    sleep 10
  done
}

dpkg_repair() {
  [ -z "$(dpkg --audit 2>&1)" ] && return 0
  say "dpkg was interrupted"
  run dpkg --force-confdef --force-confold --configure -a
  [ -z "$(dpkg --audit 2>&1)" ] || run apt --fix-broken install
}

dpkg_names() {
  for dpkg_name in "$@"; do
    case $dpkg_name in
      dpkg:*) case $(dpkg-query -W -f '${db:Status-Status}' "${dpkg_name#dpkg:}" 2>/dev/null) in
        '' | not-installed | config-files) ;;
        *) printf '%s\n' "${dpkg_name#dpkg:}" ;;
      esac ;;
    esac
  done
}

dpkg_job() { # KIND PACKAGE...
  dpkg_kind=$1
  shift
  names=$(dpkg_names "$@")
  dpkg_what=--only-upgrade$newline'install'
  # A kernel comes as a package of another name.
  [ "$all" = no ] || dpkg_what=--with-new-pkgs$newline'upgrade'
  [ "$all" = yes ] || [ -n "$names" ] || { say "none of the dpkg packages is installed"; return 0; }
  refreshed=0
  run apt update || refreshed=$?
  case $dpkg_kind:$refreshed in
    stage:0) run apt --download-only $dpkg_what $names ;;
    stage:*) return "$refreshed" ;;
    *:0) dpkg_repair && run apt $dpkg_what $names ;;
    *) say "no repository answers: going on with what was downloaded"; dpkg_repair && run apt --no-download $dpkg_what $names ;;
  esac
}

# The complaints again, at the end, where those who read only the end find them: after a scriptlet that failed dnf goes on
# for a screen or two.
complaints() {
  say "failed with status $1"
  grep -i -E '(^|[^[:alnum:]])(error|failed|failure|fatal|cannot|unable|no space)([^[:alnum:]]|$)|^[EW]: ' "$folder/output" | grep -v '^fleetmend: ' | sort -u | head -n 30
}

state_of() { systemctl show -p ActiveState "$1.service" 2>/dev/null; }

packages_job() { # KIND PACKAGE...
  compute=$(cat "$folder/compute")
  before=$(state_of "$compute")
  status=0
  all=no
  case $1 in
    stage-all | update-all)
      all=yes
      set -- "${1%-all}" "$2:"
      ;;
  esac
  case $newline$* in *"${newline}rpm:"*) rpm_job "$@" || status=$? ;; esac
  case $newline$* in *"${newline}dpkg:"*) dpkg_job "$@" || status=$? ;; esac
  # A package's scripts may start nova-compute although it was stopped: the fence stays as it was.
  case $before:$(state_of "$compute") in
    ActiveState=inactive:ActiveState=inactive | ActiveState=inactive:ActiveState=failed) ;;
    ActiveState=inactive:*) run systemctl stop "$compute.service" || status=$? ;;
  esac
  [ "$status" = 0 ] || complaints "$status"
  return "$status"
}

# ---- nova.conf ----------------------------------------------------------------------------------------------------------
# The file with FLAGS added to the last cpu_model_extra_flags of [libvirt], or with that option after the last option of
# [libvirt] that chooses the CPU. Every other byte stays. Status 3: nothing to do; 4: a flag is switched off; 5: no
# [libvirt].
add_flags() { # FILE
  flags=$flags awk '
    BEGIN { wanted = split(ENVIRON["flags"], flag, "\n") }
    { lines[NR] = $0; line = $0; sub(/[ \t\r]+$/, "", line) }
    line == "" || line ~ /^[#;]/ { option = ""; next }
    line ~ /^[ \t]/ { if (option == "cpu_model_extra_flags") { last = NR; value = value "\n" line } else if (option != "") after = (after == NR - 1) ? NR : after; next }
    line ~ /^\[/ {
      option = ""; section = tolower(substr(line, 2, length(line) - 2))
      if (section == "libvirt") { if (!header) header = NR; if (!after) after = NR }
      next
    }
    {
      match(line, /[=:]/)
      option = substr(line, 1, RSTART - 1); gsub(/[ \t]+$/, "", option)
      if (section != "libvirt") { option = ""; next }
      if (option == "cpu_model_extra_flags") { last = NR; value = substr(line, RSTART + 1) }
      else if (option ~ /^cpu_(mode|model|models)$/) after = NR
      else option = ""
    }
    END {
      if (!header) exit 5
      plain = value; gsub(/["\047]/, "", plain)
      n = split(plain, have, /[,\n]/)
      for (i = 1; i <= n; i++) { gsub(/^[ \t]+|[ \t]+$/, "", have[i]); has[tolower(have[i])] = 1 }
      for (i = 1; i <= wanted; i++) {
        name = tolower(flag[i])
        if (("-" name) in has) exit 4
        if (!(name in has) && !(("+" name) in has)) add = add (add == "" ? "" : ", ") flag[i]
      }
      if (add == "") exit 3
      for (i = 1; i <= NR; i++) {
        line = lines[i]
        if (i == last) {
          end = ""
          if (match(line, /[ \t\r]+$/)) { end = substr(line, RSTART); line = substr(line, 1, RSTART - 1) }
          quote = substr(line, length(line))
          if (quote == "\"" || quote == "\047") { end = quote end; line = substr(line, 1, length(line) - 1) } else quote = ""
          # An empty value ends in its sign, or, quoted, in the opening quote.
          line = line (line ~ /[=:]$/ ? " " : (plain ~ /^[ \t]*$/ ? "" : (line ~ /,$/ ? " " : ", "))) add
          line = line end
        }
        print line
        if (!last && i == after) print "cpu_model_extra_flags = " add (lines[i] ~ /\r$/ ? "\r" : "")
      }
    }' "$1"
}

flags_job() { # FILE FLAG...
  file=$(readlink -f "$1") && [ -f "$file" ] || { say "$1 is no file"; return 1; }
  shift
  flags=$*
  changed=$file.fleetmend backup=$file.before-fleetmend
  cp -a "$file" "$changed" || return
  add_flags "$file" >"$changed"
  case $? in
    0) ;;
    3) rm -f "$changed"; say "$file has the flags already"; return 0 ;;
    4) rm -f "$changed"; say "$file switches one of the flags off"; return 1 ;;
    5) rm -f "$changed"; say "$file has no section [libvirt]"; return 1 ;;
    *) rm -f "$changed"; say "$file could not be edited"; return 1 ;;
  esac
  # Read back: one line differs or is more, and adding the flags again has nothing to do. Compared with ended last lines,
  # because awk ends the last line and the file may not.
  awk 1 "$file" | diff - "$changed" >"$folder/differences"
  differences=$(grep -c '^>' "$folder/differences") lost=$(grep -c '^<' "$folder/differences")
  add_flags "$changed" >/dev/null
  if [ $? != 3 ] || [ "$differences" != 1 ] || [ "$lost" -gt 1 ]; then
    rm -f "$changed"; say "the edit of $file did not come out as it should; the file is as it was"; return 1
  fi
  [ -z "$(tail -c 1 "$file")" ] || truncate -s -1 "$changed"
  [ -e "$backup" ] || cp -a "$file" "$backup" || return
  mv -f "$changed" "$file" && sync && say "flags added to $file; the file as it was: $backup"
}

case $kind in
  flags) flags_job "$@" ;;
  *) packages_job "$kind" "$@" ;;
esac
