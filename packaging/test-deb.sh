#!/bin/sh
# Builds the Debian package of a binary and uses what is in it:
# test-deb.sh BINARY FOLDER
set -eu
binary=${1:?"expected: test-deb.sh BINARY FOLDER"}
out=${2:?"expected: test-deb.sh BINARY FOLDER"}
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$out"
mkdir -p "$out"
out=$(cd "$out" && pwd)
package=$(sh "$here/build-deb.sh" "$binary" "$out")
root=$out/root
dpkg-deb --extract "$package" "$root"
dpkg-deb --control "$package" "$out/control"

fail() {
	echo "test-deb: $*" >&2
	exit 1
}

version=$("$binary" --version | cut -d ' ' -f 2)
[ "$(dpkg-deb --field "$package" Version)" = "$version" ] || fail "the package is not of version $version"
[ "$(cat "$out/control/conffiles")" = /etc/innkeeper/innkeeper.toml ] || fail "the configuration is no conffile"
for script in postinst prerm; do
	sh -n "$out/control/$script" || fail "$script is not a script"
	[ -x "$out/control/$script" ] || fail "$script cannot be run"
done
innkeeper=$root/usr/bin/innkeeper
"$innkeeper" config explain --config "$root/etc/innkeeper/innkeeper.toml" | grep -q '^native.listen .*innkeeper.toml:' ||
	fail "the configuration that is installed is not explained"
for page in innkeeper innkeeper-serve innkeeper-instance-create innkeeper-config-explain; do
	gzip -dc "$root/usr/share/man/man1/$page.1.gz" | grep -q '^\.SH SYNOPSIS' || fail "no manual page $page"
done
bash -n "$root/usr/share/bash-completion/completions/innkeeper" || fail "the completions are not bash"
answer=$(bash -c '
	. "$1"
	COMP_WORDS=(innkeeper instance cre) COMP_CWORD=2
	_innkeeper innkeeper cre instance 2>/dev/null
	echo "${COMPREPLY[*]}"
' bash "$root/usr/share/bash-completion/completions/innkeeper")
[ "$answer" = create ] || fail "bash completes 'innkeeper instance cre' with '$answer'"
! grep -rIF "$(pwd)" "$root/usr/share" "$root/etc" || fail "a path of this machine is in the package"
if command -v systemd-analyze >/dev/null 2>&1; then
	sed "s,/usr/bin/innkeeper,$innkeeper," "$root/usr/lib/systemd/system/innkeeper.service" >"$out/innkeeper.service"
	systemd-analyze verify --man=no "$out/innkeeper.service" || fail "the unit is not valid"
else
	echo "test-deb: the unit was not checked: there is no systemd-analyze"
fi
echo "test-deb: $package is in order"
