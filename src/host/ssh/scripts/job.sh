# How a job stands. Argument: UNIT.
job_output() { tail -c 6000 "/run/fleetmend/$1/output"; }

main() {
  part unit within 10 systemctl show -p LoadState -p ActiveState -p SubState -p Result -p ExecMainCode -p ExecMainStatus "$1.service"
  part output job_output "$1"
}
