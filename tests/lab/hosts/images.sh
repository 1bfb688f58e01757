# shellcheck shell=bash
# images.sh - what hosts are made of, each made once and again when it is out of date:
# packages, the Debian root, the layer with libvirt, the guest, the images.  Sourced by hosts.sh.
# shellcheck disable=SC2154  # STATE, SRC, LIBVIRT, KIND are hosts.sh's

# the libraries at the end are those that Debian's own nova-compute loads (RELEASE=zed)
ROOT_PACKAGES=systemd,systemd-sysv,dbus,openssh-server,dnf,rpm,iproute2,procps,sudo,python3,libyaml-0-2,libxslt1.1,libsodium23
LIBVIRT_PACKAGES=(libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-utils python3-libvirt)

tools() {
  echo systemd-container mmdebstrap rpm createrepo-c iptables iproute2 openssh-client dpkg-dev curl jq
  [ "$KIND" != libvirt ] || echo cpio gcc libc6-dev
}

# ---- what images lie on ----------------------------------------------------------
up_to_date() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }
nothing_on_it() { [ -z "$(numbers)" ] || die "$1 is out of date and hosts are on it: run down first"; }

packages() {
  local sum; sum=$(made_of "$SRC/build-packages.sh" "$SRC"/image/*)
  ! up_to_date "$STATE/pkg.sum" "$sum" || return 0
  say "building packages"
  timeout 600 "$SRC/build-packages.sh" "$STATE/pkg" >/dev/null || die "building packages failed"
  echo "$sum" >"$STATE/pkg.sum"
}
debian_root() {  # the slow part
  local mirror
  ! up_to_date "$STATE/debian/.done" "$ROOT_PACKAGES" || return 0
  nothing_on_it "the Debian root"
  say "making the Debian root (mmdebstrap)"
  # from where this machine gets its own packages
  # shellcheck disable=SC2016  # apt's placeholder
  mirror=$(apt-get indextargets --format '$(REPO_URI)' \
    'Codename: bookworm' 'Component: main' 'Created-By: Packages' | head -1)
  [ -n "$mirror" ] || die "no Debian bookworm in apt's lists: run apt-get update"
  rm -rf "$STATE/debian"
  timeout 1200 mmdebstrap --quiet --variant=minbase --mode=root --include="$ROOT_PACKAGES" \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --aptopt='Acquire::Languages "none"' \
    bookworm "$STATE/debian" "deb $mirror bookworm main" 2>"$STATE/mmdebstrap.log" ||
    { tail -20 "$STATE/mmdebstrap.log" >&2; die "mmdebstrap failed"; }
  echo "$ROOT_PACKAGES" >"$STATE/debian/.done"
}
libvirt_layer() {  # libvirt, QEMU, python3-libvirt: a layer over the Debian root
  local layer=$STATE/debian-libvirt sum="$ROOT_PACKAGES ${LIBVIRT_PACKAGES[*]}"
  ! up_to_date "$layer.sum" "$sum" || return 0
  nothing_on_it "the libvirt layer"
  say "making the libvirt layer"
  timeout 900 "$LIBVIRT/make-layer" "$STATE/debian" "$layer" "${LIBVIRT_PACKAGES[@]}" \
    >"$STATE/libvirt-layer.log" 2>&1 ||
    { tail -20 "$STATE/libvirt-layer.log" >&2; die "the libvirt layer failed"; }
  echo "$sum" >"$layer.sum"
}
guest() {  # kernel and initrd of the tiny guests
  local sum; sum=$(made_of "$LIBVIRT"/guest/*)
  ! up_to_date "$STATE/guest.sum" "$sum" || return 0
  say "making the guest"
  timeout 300 "$LIBVIRT/guest/build.sh" "$STATE/guest" || die "making the guest failed"
  echo "$sum" >"$STATE/guest.sum"
}
roots() {  # what an image lies on
  if [ "$1" = libvirt ]; then echo "$STATE/debian-libvirt:$STATE/debian"; else echo "$STATE/debian"; fi
}

# ---- images: base-rpm, base-deb, base-libvirt (RPM, too) ---------------------------
image() {
  local kind=$1 sum base=$STATE/base-$1 from
  from=("$SRC/images.sh" "$SRC"/image/* "$STATE/pkg.sum")
  [ "$kind" != libvirt ] || from+=("$LIBVIRT/install-image" "$LIBVIRT"/*.py "$STATE/debian-libvirt.sum")
  sum=$(made_of "${from[@]}")
  ! up_to_date "$base.sum" "$sum" || return 0
  nothing_on_it "the $kind image"
  say "making the $kind image"
  # in a mount namespace of its own: whatever happens, its mounts end with it
  timeout 300 unshare --mount --propagation slave "$SRC/hosts.sh" _image "$kind" ||
    die "making the $kind image failed"
  echo "$sum" >"$base.sum"
}
make_image() {
  local kind=$1 base=$STATE/base-$1 root
  root=$base.mnt
  rm -rf "$base" "$base.work"; mkdir -p "$base" "$base.work" "$root"
  mount -t overlay overlay -o "lowerdir=$(roots "$kind"),upperdir=$base,workdir=$base.work" "$root"
  mkdir -p "$root/mnt/pkg"; mount --bind "$STATE/pkg" "$root/mnt/pkg"
  for_every_host "$root"
  case $kind in
    deb)     for_debian_hosts "$root";;
    rpm)     for_rpm_hosts "$root";;
    libvirt) for_rpm_hosts "$root"
             "$LIBVIRT/install-image" "$root" "$STATE/debian-libvirt" "$STATE/id_ed25519";;
  esac
  umount "$root/mnt/pkg" "$root"; rmdir "$root"; rm -rf "$base.work"
}
for_every_host() {
  local m=$1 u
  install -m755 "$SRC/image/lab-firmware" "$m/usr/local/lib/"
  install -m644 "$SRC/image/lab-firmware.service" "$m/etc/systemd/system/"
  for u in dmesg uname; do
    mv "$m/usr/bin/$u" "$m/usr/bin/$u.real"; install -m755 "$SRC/image/$u" "$m/usr/bin/$u"
  done
  mkdir -p "$m/etc/lab/fail-pre" "$m/run/sshd"
  rm -f "$m"/etc/ssh/ssh_host_* "$m/etc/machine-id"; : >"$m/etc/machine-id"   # each host makes its own
  # what a host of this kind would only lose time with
  for u in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service \
           dpkg-db-backup.timer console-getty.service getty.target systemd-firstboot.service \
           dev-hugepages.mount sys-fs-fuse-connections.mount; do
    ln -sf /dev/null "$m/etc/systemd/system/$u"
  done
  mkdir -p "$m/etc/systemd/"{journald.conf.d,system.conf.d}
  printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=8M\n' >"$m/etc/systemd/journald.conf.d/lab.conf"
  printf '[Manager]\nDefaultTimeoutStopSec=10s\n' >"$m/etc/systemd/system.conf.d/lab.conf"
  cat >"$m/etc/ssh/sshd_config.d/lab.conf" <<'C'
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxStartups 100
C
  chroot "$m" useradd -m -s /bin/bash cloud-user
  echo 'cloud-user ALL=(ALL) NOPASSWD: ALL' >"$m/etc/sudoers.d/lab"
  for u in root home/cloud-user; do
    install -d -m700 "$m/$u/.ssh"
    install -m600 "$STATE/id_ed25519.pub" "$m/$u/.ssh/authorized_keys"
  done
  chroot "$m" chown -R cloud-user: /home/cloud-user
  systemctl --root="$m" enable -q lab-firmware.service
}
for_rpm_hosts() {  # the old packages really installed, the repositories of the new ones known
  local m=$1 repo on
  mkdir -p "$m/etc/rpm" "$m/etc/yum.repos.d"
  echo '%_dbpath /var/lib/rpm' >"$m/etc/rpm/macros"              # Debian's default is ~/.rpmdb
  ln -sf dnf "$m/usr/bin/yum"
  cat >"$m/etc/dnf/dnf.conf" <<'C'
[main]
gpgcheck=0
installonly_limit=3
clean_requirements_on_remove=True
best=True
skip_if_unavailable=False
timeout=10
retries=1
C
  for repo in "$STATE"/pkg/rpm/*; do
    repo=${repo##*/} on=1
    [[ $repo != broken* ]] || on=0      # fault repo=... turns one on
    printf '[%s]\nname=lab %s\nbaseurl=http://controller:8080/rpm/%s\nenabled=%d\nmetadata_expire=1\n\n' \
      "$repo" "$repo" "$repo" $on
  done >"$m/etc/yum.repos.d/lab.repo"
  chroot "$m" sh -c 'rpm -U --force-debian /mnt/pkg/rpm/base/*.rpm'
  rm "$m/etc/os-release"
  cat >"$m/etc/os-release" <<'C'
NAME="Red Hat Enterprise Linux Server"
VERSION="7.6 (Maipo)"
ID="rhel"
ID_LIKE="fedora"
VERSION_ID="7.6"
PRETTY_NAME="Red Hat Enterprise Linux Server 7.6 (Maipo)"
C
  systemctl --root="$m" enable -q libvirtd.service openstack-nova-compute.service
  rm -f "$m/usr/bin/"{apt,apt-get,apt-cache}                     # an RPM host has no apt
}
for_debian_hosts() {
  local m=$1
  rm -f "$m/usr/bin/dnf"* "$m/usr/bin/rpm"
  rm -rf "$m/var/lib/apt/lists"/* "$m/etc/apt/sources.list.d"/*
  chroot "$m" sh -c 'dpkg -i /mnt/pkg/deb/base/*.deb >/dev/null'
  printf 'deb [trusted=yes] http://controller:8080/deb/%s ./\n' base updates >"$m/etc/apt/sources.list"
  printf 'Acquire::http::Timeout "10";\nAcquire::Retries "0";\nAcquire::Languages "none";\n' \
    >"$m/etc/apt/apt.conf.d/99lab"
  rm "$m/etc/os-release"
  cat >"$m/etc/os-release" <<'C'
NAME="Ubuntu"
VERSION="18.04.2 LTS (Bionic Beaver)"
ID=ubuntu
ID_LIKE=debian
VERSION_ID="18.04"
VERSION_CODENAME=bionic
PRETTY_NAME="Ubuntu 18.04.2 LTS"
C
  systemctl --root="$m" enable -q libvirtd.service nova-compute.service
}

images() {  # with M Debian-style hosts
  local packages
  mkdir -p "$STATE/hosts"; keys 0
  packages & packages=$!
  debian_root
  if [ "$KIND" = libvirt ]; then libvirt_layer; guest; fi
  wait $packages
  image "$KIND"
  [ "${1:-0}" = 0 ] || image deb
}
