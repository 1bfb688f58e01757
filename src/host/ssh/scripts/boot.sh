# Which boot this is.
main() {
  part boot-id cat /proc/sys/kernel/random/boot_id
  part uptime cat /proc/uptime
}
