# Starts a job as a transient unit, unless a unit of that name exists, running or ended.
# Arguments: MACHINE_ID NOVA_HOST HOSTNAME UNIT SECONDS, then the job's own. `job_text` prints the job's script.
main() {
  must_be "$1" "$2" "$3"
  start_unit=$4 start_limit=$5
  shift 5
  case $(within 10 systemctl show -p LoadState "$start_unit.service" 2>&1) in
    LoadState=not-found) ;;
    LoadState=*) return ;;
    *) refuse "$failed" "systemd does not answer" ;;
  esac
  start_folder=/run/fleetmend/$start_unit
  umask 077
  # The script goes through a file and not through the unit's command, where systemd would replace $ and %.
  start_said=$({ mkdir -p "$start_folder" && job_text >"$start_folder/script" &&
    printf '%s\n' "$@" >"$start_folder/arguments"; } 2>&1) ||
    refuse "$failed" "cannot write to $start_folder: $start_said"
  unit_of_compute >"$start_folder/compute" 2>/dev/null
  # With --remain-after-exit an ended unit keeps its status until it is forgotten or the host reboots. The limit is
  # `timeout`'s, because systemd before 229 has no RuntimeMaxSec.
  start_said=$(within 60 systemd-run --quiet --unit="$start_unit" --description="fleetmend job $start_unit" --remain-after-exit \
    -- timeout -k 60 "$start_limit" /bin/sh "$start_folder/script" "$start_folder" 2>&1) ||
    refuse "$failed" "systemd-run failed: $start_said"
}
