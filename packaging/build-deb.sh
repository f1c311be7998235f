#!/bin/sh
# A Debian package of a binary: build-deb.sh BINARY FOLDER
# Prints the package's path. Needs dpkg-deb and gzip.
set -eu
binary=${1:?"expected: build-deb.sh BINARY FOLDER"}
out=${2:?"expected: build-deb.sh BINARY FOLDER"}
here=$(cd "$(dirname "$0")" && pwd)
version=$("$binary" --version | cut -d ' ' -f 2)
architecture=$(dpkg --print-architecture)
mkdir -p "$out"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"

put() { # MODE FILE TARGET
	install -D -m "$1" "$2" "$root/$3"
}

put 0755 "$binary" usr/bin/innkeeper
put 0644 "$here/innkeeper.service" usr/lib/systemd/system/innkeeper.service
put 0644 "$here/innkeeper.toml" etc/innkeeper/innkeeper.toml
chmod 0755 "$root/etc/innkeeper"
put 0644 "$here/copyright" usr/share/doc/innkeeper/copyright
"$binary" manual "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*.1
mkdir -p "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" \
	"$root/usr/share/fish/vendor_completions.d"
"$binary" completions bash >"$root/usr/share/bash-completion/completions/innkeeper"
"$binary" completions zsh >"$root/usr/share/zsh/vendor-completions/_innkeeper"
"$binary" completions fish >"$root/usr/share/fish/vendor_completions.d/innkeeper.fish"

mkdir -p "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<-END
	Package: innkeeper
	Version: $version
	Architecture: $architecture
	Maintainer: The Innkeeper developers <innkeeper@localhost>
	Installed-Size: $(du -sk "$root" | cut -f 1)
	Depends: libc6, libgcc-s1, ca-certificates
	Section: admin
	Priority: optional
	Description: turns hosts into a cloud
	 Provisions virtual machines on Proxmox VE through an HTTP API and a command
	 line, and never leaks or loses one.
END
echo /etc/innkeeper/innkeeper.toml >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
if [ "$1" = configure ] && [ -n "$2" ] && [ -d /run/systemd/system ]; then
	systemctl try-restart innkeeper.service
fi
END
cat >"$root/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl --no-reload disable --now innkeeper.service || :
fi
END
chmod 0755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"

package=$out/innkeeper_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" >&2
echo "$package"
