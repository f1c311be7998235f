#!/bin/sh
# Builds a cloud image from the packages of the distribution that this machine
# runs (Debian 12 or 13, Ubuntu): a disk with a boot loader, systemd, cloud-init,
# an SSH server and the QEMU guest agent, as a user would download one.
#
#   build-debian.sh CACHE_DIR   prints the path of the image; builds it when the
#                               cache has none of this script and these packages
#
# Needs no mounts and no loop devices. Runs as root, or as a user that may make
# user namespaces.
set -eu
export LC_ALL=C
umask 022

stop() {
	echo "build-debian: $*" >&2
	exit 1
}

need() {
	PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1 || stop "\"$1\" is missing; install the package $2"
}

[ $# = 1 ] || stop "usage: build-debian.sh CACHE_DIR"
need mmdebstrap mmdebstrap
need mcopy mtools
need syslinux syslinux
need mkfs.vfat dosfstools
need mkfs.ext4 e2fsprogs
need sfdisk fdisk
need fakeroot fakeroot
need qemu-img qemu-utils
mbr=/usr/lib/syslinux/mbr/mbr.bin
[ -f $mbr ] || stop "$mbr is missing; install the package syslinux-common"
PATH=$PATH:/usr/sbin:/sbin

# shellcheck disable=SC1091
. /etc/os-release
case $ID in
debian) kernel=linux-image-cloud-amd64 ;;
ubuntu) kernel=linux-image-virtual ;;
*) stop "this is neither Debian nor Ubuntu but $ID" ;;
esac
packages="$kernel systemd-sysv udev dbus netplan.io iproute2 cloud-init openssh-server qemu-guest-agent"

# --- found in the cache ----------------------------------------------------------

mkdir -p "$1"
cache=$(cd "$1" && pwd)
key=$({
	cat "$0"
	# shellcheck disable=SC2086
	apt-cache policy $packages | grep -E '^[^ ]|Candidate:'
} | sha256sum | cut -c 1-16)
image=$cache/$ID-${VERSION_CODENAME}-$key.qcow2
exec 9>"$cache/lock"
flock 9
if [ -f "$image" ]; then
	echo "$image"
	exit
fi

# --- the system ------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/debian-image.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# The sources of this machine: they are known to be reachable.
sources() {
	cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed 's/^$/\n/'
}
one_line() { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | grep -E '^deb ' || :; }
{ sources && [ -n "$(sources)" ] || one_line; } >"$work/sources"
# shellcheck disable=SC2086
mmdebstrap --quiet --variant=minbase --include="$(echo $packages | tr ' ' ,)" \
	--aptopt='Acquire::Languages "none"' "$VERSION_CODENAME" "$work/root.tar" - <"$work/sources" >&2
# Files keep their owners in a file system that is filled without being root.
cat >"$work/fill.sh" <<-'END'
	set -eu
	mkdir "$1/root"
	tar -C "$1/root" -xf "$1/root.tar" --exclude='./dev/*'
	echo 'LABEL=root / ext4 defaults 0 1' >"$1/root/etc/fstab"
	rm -f "$1"/root/etc/ssh/ssh_host_*
	# Generating a locale takes minutes under emulation.
	echo 'locale: C.UTF-8' >"$1/root/etc/cloud/cloud.cfg.d/90_locale.cfg"
	cp "$1"/root/boot/vmlinuz-* "$1/vmlinuz"
	cp "$1"/root/boot/initrd.img-* "$1/initrd.img"
	mkfs.ext4 -q -F -L root -d "$1/root" "$1/root.ext4" 1300M
END
fakeroot sh "$work/fill.sh" "$work" >&2

# --- the disk: a FAT partition that boots, and the system ------------------------

cat >"$work/syslinux.cfg" <<-'END'
	DEFAULT linux
	LABEL linux
	  KERNEL /vmlinuz
	  APPEND initrd=/initrd.img root=LABEL=root ro console=tty0 console=ttyS0
END
(
	cd "$work"
	truncate -s 96M boot.fat
	mkfs.vfat -n BOOT boot.fat
	mcopy -i boot.fat vmlinuz initrd.img syslinux.cfg ::
	syslinux --install boot.fat
	truncate -s 1400M disk.raw
	printf 'start=2048,size=196608,type=c,bootable\nstart=198656,type=83\n' | sfdisk -q disk.raw
	dd if=$mbr of=disk.raw conv=notrunc bs=440 count=1 status=none
	dd if=boot.fat of=disk.raw conv=notrunc,sparse bs=1M seek=1 status=none
	dd if=root.ext4 of=disk.raw conv=notrunc,sparse bs=1M seek=97 status=none
	qemu-img convert -q -O qcow2 disk.raw disk.qcow2
) >&2
mv "$work/disk.qcow2" "$image.partial"
mv "$image.partial" "$image"
echo "$image"
