# Which machine this is.
main() {
  part machine-id cat /etc/machine-id
  part hostname host_name
  part nova-host nova_host
}
