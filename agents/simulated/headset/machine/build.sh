#!/usr/bin/env bash
# Builds the lab's virtual machine from Debian's packages into FOLDER/KEY and prints that path: kernel, initrd.gz,
# root.sqfs. KEY is a digest of the packages, the kernel and this script, so what is there is used again.
# Status 2: something is missing, and the message says what.
set -euo pipefail

folder=${1:?usage: build.sh FOLDER}
suite=bookworm
packages=python3,udev,alsa-utils
boot_modules="virtio_pci virtio_blk squashfs overlay 9p 9pnet_virtio virtio_net"
device_modules="vhci-hcd snd-usb-audio usbhid hid-generic evdev"
export PATH="$PATH:/usr/sbin:/sbin"

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need mmdebstrap mmdebstrap
need sqfstar squashfs-tools
need qemu-system-x86_64 qemu-system-x86
need cpio cpio
need depmod kmod
need dpkg-deb dpkg
need apt-get apt
if [ ${#missing[@]} -gt 0 ]; then
  echo "The virtual machine cannot be built; install: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 2
fi
if [ "$(dpkg --print-architecture)" != amd64 ]; then
  echo "The virtual machine is built on amd64 only; this is $(dpkg --print-architecture)" >&2
  exit 2
fi

kernel=$(apt-cache show --no-all-versions linux-image-amd64 2>/dev/null | sed -n 's/^Depends: *\(linux-image-[^ ,]*\).*/\1/p' | head -n 1)
if [ -z "$kernel" ]; then
  echo "apt knows no linux-image-amd64: run apt-get update on a Debian ($suite) first" >&2
  exit 2
fi
version=${kernel#linux-image-}

key=$({ echo "$suite $packages $kernel"; cat "$0"; } | sha256sum | cut -c 1-16)
image=$folder/$key
if [ -e "$image/complete" ]; then
  echo "$image"
  exit 0
fi

echo "building the virtual machine ($kernel; about a minute, once) ..." >&2
mkdir -p "$folder"
work=$(mktemp -d "$folder/building-XXXXXX")
trap 'rm -rf "$work"' EXIT

fetch() { # apt drops its rights to download, and may not write where only root may
  chmod 0755 "$work"
  (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$@") >/dev/null || {
    echo "apt-get could not download $*" >&2
    exit 2
  }
}
fetch "$kernel" busybox-static
mkdir "$work/kernel" "$work/busybox"
dpkg-deb -x "$work/${kernel}"_*.deb "$work/kernel"
dpkg-deb -x "$work"/busybox-static_*.deb "$work/busybox"
depmod -b "$work/kernel" "$version" 2>/dev/null

# The initial file system: busybox, and every module in the order in which it can be loaded.
initrd=$work/initrd
mkdir -p "$initrd"/{bin,modules,proc,sys,dev,ro,rw,new}
cp "$work/busybox/bin/busybox" "$initrd/bin/busybox"
for module in $boot_modules $device_modules; do
  modprobe -d "$work/kernel" -S "$version" --show-depends "$module" || {
    echo "the kernel $version has no module $module" >&2
    exit 2
  }
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' > "$work/order"
while read -r path; do
  cp "$path" "$initrd/modules/"
  basename "$path" >> "$initrd/order"
done < "$work/order"
cat > "$initrd/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module" || echo "insmod $module failed"; done < /order
mount -t squashfs -o ro /dev/vda /ro || { echo "no root file system"; poweroff -f; }
mount -t tmpfs -o size=50% rw /rw; mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work new /new
options=trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro
for share in code packages; do
  mkdir -p "/new/lab/$share"; mount -t 9p -o "$options" "$share" "/new/lab/$share" || echo "no share $share"
done
ip link set lo up; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2
mount --move /proc /new/proc; mount --move /sys /new/sys; mount --move /dev /new/dev
exec switch_root /new /bin/bash /lab/code/agents/simulated/headset/machine/guest/start.sh
INIT
chmod +x "$initrd/init"
(cd "$initrd" && find . | cpio -o -H newc --quiet | gzip -1) > "$work/initrd.gz"
cp "$work/kernel/boot/vmlinuz-$version" "$work/kernel.image"

mmdebstrap --quiet --variant=minbase --include="$packages" --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" - > "$work/root.tar" || {
  echo "mmdebstrap could not make the root file system; it says why above" >&2
  exit 2
}
# lz4, because an emulated processor has to unpack it; sqfstar has a word for the archive's "./", which says nothing.
sqfstar -comp lz4 -no-progress -quiet "$work/root.sqfs" < "$work/root.tar" 2>&1 | { grep -v '^Empty tar filename' >&2 || true; }

mkdir "$work/done"
mv "$work/kernel.image" "$work/done/kernel"
mv "$work/initrd.gz" "$work/root.sqfs" "$work/done/"
touch "$work/done/complete"
rm -rf "$image"
mv "$work/done" "$image"
find "$folder" -mindepth 1 -maxdepth 1 -type d ! -path "$image" ! -path "$work" ! -name 'building-*' -exec rm -rf {} +
echo "$image"
