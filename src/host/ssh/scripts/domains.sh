# All domains, running or not.
main() {
  part domains domains
}
