# Stops nova-compute (up) or starts it again (down), and waits until it is so.
# Arguments: MACHINE_ID NOVA_HOST HOSTNAME up|down.
main() {
  must_be "$1" "$2" "$3"
  fence_unit=$(unit_of_compute 2>&1) || refuse "$failed" "$fence_unit"
  case $4 in
    up) fence_verb=stop ;;
    *) fence_verb=start ;;
  esac
  # Longer than systemd's own limits of 90 s for stopping and for starting.
  fence_said=$(within 200 systemctl "$fence_verb" "$fence_unit.service" 2>&1)
  fence_status=$?
  fence_state=$(within 10 systemctl show -p ActiveState "$fence_unit.service" 2>&1)
  case $fence_verb:$fence_state in
    stop:ActiveState=inactive | stop:ActiveState=failed | start:ActiveState=active) ;;
    *) refuse "$failed" "\`systemctl $fence_verb $fence_unit\` ended with $fence_status and left $fence_state; $fence_said" ;;
  esac
}
