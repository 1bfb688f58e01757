# The last check and the reboot, in one breath.
# Arguments: MACHINE_ID NOVA_HOST HOSTNAME BOOT_ID STAYING (a list of the UUIDs that may be here, shut off).
main() {
  must_be "$1" "$2" "$3"
  reboot_boot=$(cat /proc/sys/kernel/random/boot_id)
  [ "$reboot_boot" = "$4" ] || refuse "$failed" "the host is in boot ${reboot_boot:-unknown}, not in $4: it has rebooted already"

  reboot_unit=$(unit_of_compute 2>&1) || refuse "$not_quiet" "$reboot_unit"
  reboot_state=$(within 10 systemctl show -p ActiveState "$reboot_unit.service" 2>&1)
  case $reboot_state in
    ActiveState=inactive | ActiveState=failed) ;;
    *) refuse "$not_quiet" "$reboot_unit is not stopped: ${reboot_state:-no answer}" ;;
  esac

  # What libvirt calls active is running, paused, suspended in memory, shutting down or crashed and kept.
  reboot_live=$(domain_ids 2>"$words") || refuse "$not_quiet" "libvirt does not tell which domains run: $(cat "$words")"
  [ -z "$reboot_live" ] || refuse "$not_quiet" "these domains are not shut off: $(echo $reboot_live | tr '\n' ' ')"
  reboot_all=$(domain_ids --all 2>"$words") || refuse "$not_quiet" "libvirt does not tell which domains there are: $(cat "$words")"
  for reboot_domain in $reboot_all; do
    printf '%s\n' "$5" | grep -qix -e "$reboot_domain" || refuse "$not_quiet" "domain $reboot_domain is not among those that may stay"
  done

  # Written before the order, because the order may end the connection before its outcome can be told.
  frame ordering 0 ''
  # --no-block: the reboot is queued, and this script ends before it does.
  reboot_said=$(within 30 systemctl --no-block reboot 2>&1) || refuse "$failed" "\`systemctl reboot\` failed: $reboot_said"
}
