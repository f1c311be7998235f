#!/bin/sh
# Real clients against `innkeeper pve-sim`: curl and proxmoxer (from PyPI), on
# 8.4 and 9.2.
#
#   run.sh BINARY FOLDER   FOLDER keeps the Python environment between runs
set -eu
here=$(cd "$(dirname "$0")" && pwd)
binary=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)

command -v python3 >/dev/null || { echo "python3 is missing; install the packages python3 and python3-venv" >&2; exit 1; }
key=$(sha256sum "$here/requirements.txt" | cut -c 1-16)
venv=$folder/python-$key
if [ ! -e "$venv/complete" ]; then
	rm -rf "$folder"/python-*
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
	touch "$venv/complete"
fi
PATH=$venv/bin:$PATH
export PATH

simulator=
trap '[ -z "$simulator" ] || kill "$simulator" 2>/dev/null || :' EXIT
trap 'exit 1' HUP INT TERM

start() { # VERSION
	[ -z "$simulator" ] || { kill "$simulator"; wait "$simulator" 2>/dev/null || :; }
	{ echo "version = \"$1\""; cat "$here/seed.toml"; } >"$folder/seed.toml"
	: >"$folder/simulator.log" # or the address of the one before is read
	"$binary" pve-sim --seed "$folder/seed.toml" --listen 127.0.0.1:0 >"$folder/simulator.log" 2>&1 &
	simulator=$!
	tries=0
	until grep -q '^address' "$folder/simulator.log"; do
		kill -0 "$simulator" 2>/dev/null || { cat "$folder/simulator.log" >&2; exit 1; }
		tries=$((tries + 1))
		[ $tries -lt 300 ] || { echo "the simulator does not come up" >&2; exit 1; }
		sleep 0.1
	done
	PVE_URL=$(sed -n 's/^address *//p' "$folder/simulator.log")
	PVE_HOST=$(echo "$PVE_URL" | sed 's,https://,,; s,:.*,,')
	PVE_PORT=$(echo "$PVE_URL" | sed 's,.*:,,; s,/.*,,')
	PVE_VERSION=$1
	export PVE_URL PVE_HOST PVE_PORT PVE_VERSION
}

for version in 8.4 9.2; do
	for client in curl proxmoxer; do
		start $version
		echo "--- $client on $version"
		case $client in
		curl) sh "$here/curl.sh" ;;
		proxmoxer) python "$here/with_proxmoxer.py" ;;
		esac
	done
done
echo "report: curl and proxmoxer did all they were asked on 8.4 and 9.2"
