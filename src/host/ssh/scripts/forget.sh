# Forgets an ended job. Argument: UNIT.
main() {
  forget_state=$(within 10 systemctl show -p ActiveState -p SubState "$1.service" 2>&1)
  case $forget_state in
    *SubState=exited* | *ActiveState=failed* | *ActiveState=inactive*) ;;
    *) refuse "$failed" "$1 has not ended: $(echo $forget_state)" ;;
  esac
  within 30 systemctl stop "$1.service" 2>/dev/null
  within 10 systemctl reset-failed "$1.service" 2>/dev/null
  rm -rf "/run/fleetmend/$1"
}
