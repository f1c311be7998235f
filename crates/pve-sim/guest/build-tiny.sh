#!/bin/sh
# Builds the tiny guest from the distribution's own packages: its cloud kernel
# and an initramfs with busybox, dropbear, the QEMU guest agent and the files
# of rootfs/. Runs as an unprivileged user on Debian 12, 13 and Ubuntu.
#
#   build-tiny.sh --key     prints the cache key: it changes with this folder,
#                           with the versions of the packages, and with the
#                           tools at hand. Downloads nothing.
#   build-tiny.sh OUT_DIR   makes OUT_DIR/kernel, initrd, append and manifest
#
# KERNEL_PACKAGE names another kernel package than the distribution's usual one.
set -eu
export LC_ALL=C
umask 022
here=$(cd "$(dirname "$0")" && pwd)

stop() {
	echo "build-tiny: $*" >&2
	exit 1
}

need() {
	command -v "$1" >/dev/null 2>&1 || stop "\"$1\" is missing; install the package $2"
}

need apt-cache apt
need apt-get apt
need dpkg-deb dpkg
need tar tar
need cpio cpio
need sha256sum coreutils
need awk "mawk or gawk"
[ "$(dpkg --print-architecture)" = amd64 ] || stop "only amd64 is supported so far, and this is $(dpkg --print-architecture)"

# --- which packages, in which versions ----------------------------------------

programs="busybox-static dropbear-bin e2fsprogs qemu-guest-agent"
# Debian; Ubuntu to 22.04; Ubuntu since then.
kernels=${KERNEL_PACKAGE-linux-image-cloud-amd64 linux-image-kvm linux-image-virtual}

# One walk through the package index (each costs half a second): prints
# "kernel X" (the first of $kernels, followed to the package with the files),
# "modules X" (Ubuntu keeps them apart) and "library X" for the libraries below
# the programs.
# shellcheck disable=SC2086
resolve() {
	apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances $kernels $programs 2>/dev/null | awk -v kernels="$kernels" -v programs="$programs" '
		/^[^ ]/ { package = $1; listed[package] = 1; next }
		/Depends: linux-image-[0-9]/ && !(package in image) { image[package] = $NF }
		/Depends: linux-modules-[0-9]/ && !(package in modules) { modules[package] = $NF }
		/Depends: / && $NF ~ /^(lib|zlib)/ { needs[package] = needs[package] " " $NF }
		END {
			n = split(kernels, list, " ")
			for (i = 1; i <= n; i++) {
				kernel = list[i] in image ? image[list[i]] : list[i] ~ /^linux-image-.*[0-9]/ && list[i] in listed ? list[i] : ""
				if (kernel == "") continue
				print "kernel " kernel
				if (kernel in modules) print "modules " modules[kernel]
				break
			}
			todo = split(programs, list, " ")
			for (i = 1; i <= todo; i++) {
				n = split(needs[list[i]], below, " ")
				for (j = 1; j <= n; j++) if (!(below[j] in seen)) { seen[below[j]] = 1; list[++todo] = below[j]; print "library " below[j] }
			}
		}'
}

# package=version for each: the candidate, or, where the candidate is merely
# installed here and in no archive, the newest version that an archive has.
versions_of() {
	apt-cache policy "$@" | awk '
		/^[^ ]/ { package = $1; sub(/:$/, "", package); found = ""; next }
		/^  Candidate:/ { candidate = $2; next }
		/^ (\*\*\*|   ) [^ ]/ { version = $1 == "***" ? $2 : $1; next }
		/^ +-?[0-9]+ / {
			if ($2 ~ /dpkg\/status$/ || $1 < 0) next
			if (version == candidate) chosen[package] = version
			else if (!(package in other)) other[package] = version
		}
		END {
			for (package in chosen) print package "=" chosen[package]
			for (package in other) if (!(package in chosen)) print package "=" other[package]
		}' | sort
}

resolved=$(resolve)
kernel=$(echo "$resolved" | sed -n 's/^kernel //p')
modules=$(echo "$resolved" | sed -n 's/^modules //p')
libraries=$(echo "$resolved" | sed -n 's/^library //p')
[ -n "$kernel" ] || stop "no kernel package found (looked for $kernels); run: apt-get update"
# shellcheck disable=SC2086
versions=$(versions_of $kernel $modules $programs $libraries)
for package in $kernel $modules $programs; do
	echo "$versions" | grep -q "^$package=" || stop "the package $package is in no configured source; run: apt-get update (and enable \"universe\" on Ubuntu)"
done

key() {
	{
		(cd "$here" && find build-tiny.sh yaml.awk cloud-config.awk rootfs -type f | sort | xargs sha256sum)
		echo "$versions"
		for tool in lz4 xz zstd bzip2 gzip; do command -v $tool >/dev/null 2>&1 && echo $tool; done
	} | sha256sum | cut -c 1-16
}

if [ "${1-}" = --key ]; then
	key
	exit
fi
[ $# = 1 ] || stop "usage: build-tiny.sh --key | build-tiny.sh OUT_DIR"

mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/tiny-guest.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/debs" "$work/kernel" "$work/programs" "$work/root"

# --- download and unpack ------------------------------------------------------

echo "downloading $(echo "$versions" | wc -l) packages"
sandbox=
[ "$(id -u)" = 0 ] && sandbox="-o APT::Sandbox::User=root"
# shellcheck disable=SC2086
(cd "$work/debs" && apt-get -qq $sandbox download $versions) || stop "a package cannot be downloaded; if the archive has moved on, run: apt-get update"

echo "unpacking"
for deb in "$work"/debs/*.deb; do
	case ${deb##*/} in
	linux-image-* | linux-modules-*)
		# Without the bulk that no virtual machine needs.
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/kernel" --no-same-owner \
			--exclude '*/sound/*' --exclude '*/drivers/gpu/*' --exclude '*/drivers/infiniband/*' --exclude '*/drivers/media/*' \
			--exclude '*/drivers/net/ethernet/*' --exclude '*/drivers/net/wireless/*' --exclude '*/drivers/usb/*' --exclude '*/net/netfilter/*'
		;;
	*) dpkg-deb -x "$deb" "$work/programs" ;;
	esac
done

# --- kernel -------------------------------------------------------------------

bytes() { # FILE OFFSET COUNT: hexadecimal
	od -An -v -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'
}

number() { # FILE OFFSET: 32 bits, little endian
	od -An -v -tu1 -j "$2" -N 4 "$1" | awk '{ print $1 + 256 * ($2 + 256 * ($3 + 256 * $4)) }'
}

# A bzImage says where its compressed payload lies (the kernel's documentation,
# x86/boot: setup_sects at 0x1f1, "HdrS" at 0x202, version at 0x206, and since
# version 2.08 payload_offset and payload_length at 0x248 and 0x24c). QEMU boots
# the unpacked ELF file directly where it carries the PVH entry note.
unpack_kernel() {
	[ "$(bytes "$1" 514 4)" = 48647253 ] || return 1
	sectors=$(od -An -tu1 -j 497 -N 1 "$1" | tr -d ' ')
	[ "$sectors" = 0 ] && sectors=4
	start=$(((sectors + 1) * 512 + $(number "$1" 584)))
	length=$(number "$1" 588)
	tail -c +$((start + 1)) "$1" | head -c "$length" >"$work/payload"
	case $(bytes "$work/payload" 0 6) in
	fd377a585a00) tool=xz ;;
	28b52ffd*) tool=zstd ;;
	02214c18*) tool=lz4 ;;
	1f8b*) tool=gzip ;;
	425a68*) tool=bzip2 ;;
	*) return 1 ;;
	esac
	command -v $tool >/dev/null 2>&1 || {
		echo "\"$tool\" is missing: the kernel stays packed and boots about a second later; install the package $tool"
		return 1
	}
	# All but gzip are followed by four bytes with the unpacked size.
	[ $tool = gzip ] || head -c $((length - 4)) "$work/payload" >"$work/payload.exact"
	[ $tool = gzip ] && mv "$work/payload" "$work/payload.exact"
	$tool -dc <"$work/payload.exact" >"$work/vmlinux" 2>/dev/null || return 1
	[ "$(bytes "$work/vmlinux" 0 4)" = 7f454c46 ] || return 1
	# ELF note: name "Xen", type 18 (XEN_ELFNOTE_PHYS32_ENTRY).
	grep -aqP '\x04\0\0\0[\x04\x08]\0\0\0\x12\0\0\0Xen\0' "$work/vmlinux"
}

image=$(find "$work/kernel/boot" -name 'vmlinuz*' | head -n 1)
[ -n "$image" ] || stop "$kernel holds no /boot/vmlinuz"
release=${image##*/vmlinuz-}
if unpack_kernel "$image"; then
	kind=vmlinux
	mv "$work/vmlinux" "$out/kernel"
else
	kind=bzImage
	cp "$image" "$out/kernel"
fi

# --- modules ------------------------------------------------------------------

unpack_module() { # FROM TO
	case $1 in
	*.ko) cp "$1" "$2" ;;
	*.ko.xz) need xz xz-utils && xz -dc <"$1" >"$2" ;;
	*.ko.zst) need zstd zstd && zstd -qdc <"$1" >"$2" ;;
	*.ko.gz) gzip -dc <"$1" >"$2" ;;
	esac
}

tree=$(find "$work/kernel" -type d -path "*/modules/$release" | head -n 1)
[ -n "$tree" ] || stop "no modules for $release in $kernel $modules"
target=$work/root/lib/modules
mkdir -p "$target"
find "$tree" -name '*.ko*' | awk -F/ '{ n = $NF; sub(/\.ko.*/, "", n); gsub(/-/, "_", n); print n " " $0 }' >"$work/modules"

# Copies a module after those that it depends on, which its own information
# section names; so the order is one in which insmod works.
add_module() {
	grep -qx "$1.ko" "$target/order" 2>/dev/null && return
	grep -q "/$(echo "$1" | sed 's/_/[-_]/g')\.ko$" "$tree/modules.builtin" 2>/dev/null && return
	file=$(awk -v name="$1" '$1 == name { print $2; exit }' "$work/modules")
	if [ -z "$file" ]; then
		[ "${2-}" = optional ] && return
		stop "$kernel $modules has no module $1"
	fi
	unpack_module "$file" "$target/$1.ko"
	for below in $(tr '\0' '\n' <"$target/$1.ko" | sed -n 's/^depends=//p' | tr ',-' ' _'); do
		add_module "$below"
	done
	echo "$1.ko" >>"$target/order"
}

# First what the guest agent and the network need.
for module in virtio_pci virtio_console virtio_net virtio_rng virtio_blk virtio_scsi sd_mod; do
	add_module $module
done
for module in button evdev af_packet overlay ext4; do
	add_module $module optional
done

# --- programs and their libraries ---------------------------------------------

programs_root=$work/programs
find_program() {
	for folder in usr/sbin usr/bin sbin bin usr/lib/dropbear; do
		[ -f "$programs_root/$folder/$1" ] && echo "$programs_root/$folder/$1" && return
	done
	stop "no package holds $1"
}

mkdir -p "$work/root/bin" "$work/root/sbin" "$work/root/usr/bin" "$work/root/usr/sbin" "$work/root/lib64" "$work/root/usr/lib/tiny" \
	"$work/root/etc/acpi/PWRF" "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/run" "$work/root/tmp" \
	"$work/root/root" "$work/root/home" "$work/root/var/lib" "$work/root/var/log" "$work/root/mnt"
ln -s ../run "$work/root/var/run"
chmod 1777 "$work/root/tmp"
chmod 700 "$work/root/root"
cp "$(find_program busybox)" "$work/root/bin/busybox"
for applet in $("$work/root/bin/busybox" --list); do
	case $applet in
	busybox | dpkg | dpkg-deb | rpm | rpm2cpio | mke2fs | poweroff | halt | reboot | shutdown) ;;
	*) ln -s /bin/busybox "$work/root/bin/$applet" ;;
	esac
done
ln -s /bin/busybox "$work/root/sbin/init"
for program in dropbear dropbearkey mke2fs qemu-ga; do
	cp "$(find_program $program)" "$work/root/usr/sbin/$program"
done

# The packages' own loader lists what the programs load; a path outside the
# unpacked packages would mean that a library came from this machine.
loader=$(find "$programs_root" -type f -name 'ld-linux-x86-64.so.2' | head -n 1)
[ -n "$loader" ] || stop "no package holds the dynamic loader"
folders=$(find "$programs_root" -type d \( -name x86_64-linux-gnu -o -name lib64 -o -path '*/x86_64-linux-gnu/*' \) | tr '\n' ':')
for program in dropbear dropbearkey mke2fs qemu-ga; do
	"$loader" --inhibit-cache --library-path "$folders" --list "$work/root/usr/sbin/$program" >"$work/loads" 2>&1 || stop "$program: $(tail -n 1 "$work/loads")"
	awk '$2 == "=>" { print $1 " " $3 }' "$work/loads" | while read -r name path; do
		case $name in /*) continue ;; esac
		case $path in
		"$programs_root"/*) [ -e "$work/root/lib64/$name" ] || cp -L "$path" "$work/root/lib64/$name" ;;
		*ld-linux-x86-64.so.2 | /lib64/ld-linux*) ;;
		*) stop "$program needs $name, which none of the packages holds" ;;
		esac
	done
done
cp -L "$loader" "$work/root/lib64/ld-linux-x86-64.so.2"
# The loader looks into /lib64 without any configuration on some distributions
# only; a configured cache is not needed when /lib leads to the same folder.
mkdir -p "$work/root/lib/x86_64-linux-gnu"
for library in "$work/root/lib64"/*; do
	ln -s "/lib64/${library##*/}" "$work/root/lib/x86_64-linux-gnu/${library##*/}"
done

# --- our own files --------------------------------------------------------------

cp "$here/rootfs/init" "$work/root/init"
cp "$here"/rootfs/usr/lib/tiny/* "$here/yaml.awk" "$here/cloud-config.awk" "$work/root/usr/lib/tiny/"
mv "$work/root/usr/lib/tiny/inittab" "$work/root/etc/inittab"
mv "$work/root/usr/lib/tiny/cloud-init" "$work/root/usr/bin/cloud-init"
mv "$work/root/usr/lib/tiny/shutdown" "$work/root/sbin/shutdown"
for verb in poweroff halt reboot; do
	printf '#!/bin/sh\nexec /sbin/shutdown %s\n' "$(echo $verb | sed -e 's/poweroff/-P/' -e 's/halt/-H/' -e 's/reboot/-r/')" >"$work/root/sbin/$verb"
done
printf '#!/bin/sh\nexec /sbin/shutdown -P\n' >"$work/root/etc/acpi/PWRF/00000080"
printf '#!/bin/sh\nexec /bin/busybox sh "$@"\n' >"$work/root/bin/bash"
cp "$programs_root/etc/mke2fs.conf" "$work/root/etc/"
echo "root:x:0:0:root:/root:/bin/sh" >"$work/root/etc/passwd"
printf 'root:x:0:\ntty:x:5:\n' >"$work/root/etc/group"
echo "root:*:19000:0:99999:7:::" >"$work/root/etc/shadow"
printf '/bin/sh\n/bin/ash\n/bin/bash\n' >"$work/root/etc/shells"
echo "127.0.0.1 localhost tiny" >"$work/root/etc/hosts"
echo tiny >"$work/root/etc/hostname"
echo "hosts: files dns" >"$work/root/etc/nsswitch.conf"
printf 'ID=innkeeper-tiny\nNAME="Innkeeper tiny guest"\nPRETTY_NAME="Innkeeper tiny guest (%s)"\nVERSION_ID=1\n' "$release" >"$work/root/etc/os-release"
chmod 755 "$work/root/init" "$work/root/sbin/shutdown" "$work/root/sbin/poweroff" "$work/root/sbin/halt" "$work/root/sbin/reboot" "$work/root/usr/bin/cloud-init" "$work/root/etc/acpi/PWRF/00000080" "$work/root/bin/bash" "$work/root/usr/lib/tiny"/*
chmod 600 "$work/root/etc/shadow"

# --- the image --------------------------------------------------------------------

find "$work/root" -exec touch -h -d @0 {} +
(cd "$work/root" && find . | sort | cpio --quiet --reproducible -o -H newc -R 0:0) >"$out/initrd"
# Serial output is slow without KVM, hence "quiet".
echo "console=ttyS0 quiet loglevel=3 panic=5 rdinit=/init mitigations=off no_timer_check random.trust_cpu=on net.ifnames=0" >"$out/append"
{
	echo "kernel $kind $release"
	echo "$versions"
} >"$out/manifest"
echo "built: kernel $kind $(wc -c <"$out/kernel") bytes, initrd $(wc -c <"$out/initrd") bytes"
