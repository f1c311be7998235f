#!/bin/sh
# Real clients against `innkeeper pve-sim`: curl, proxmoxer and Ansible's
# community.proxmox (both from PyPI), on 8.4 and 9.2.
#
#   run.sh BINARY FOLDER [CLIENT…]   FOLDER keeps the Python environment between runs
#
# ANSIBLE_PARTS="servers disks" runs only these files of ansible/.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
mkdir -p "$2"
folder=$(cd "$2" && pwd)
shift 2
[ $# -gt 0 ] || set -- curl proxmoxer ansible

command -v python3 >/dev/null || { echo "python3 is missing; install the packages python3 and python3-venv" >&2; exit 1; }
key=$(sha256sum "$here/requirements.txt" | cut -c 1-16)
venv=$folder/python-$key
if [ ! -e "$venv/complete" ]; then
	rm -rf "$folder"/python-*
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
	touch "$venv/complete"
fi
# requests takes these over the client's own `verify=False`.
unset REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
PATH=$venv/bin:$PATH
export PATH

simulators=
stop() {
	for simulator in $simulators; do
		kill "$simulator" 2>/dev/null || :
		wait "$simulator" 2>/dev/null || :
	done
	simulators=
}
trap stop EXIT
trap 'exit 1' HUP INT TERM

start() { # VERSION: a cluster of its own; its address in PVE_URL, PVE_HOST, PVE_PORT
	log=$folder/simulator-$1.log
	{ echo "version = \"$1\""; cat "$here/seed.toml"; } >"$folder/seed-$1.toml"
	: >"$log" # or the address of the one before is read
	"$binary" pve-sim --seed "$folder/seed-$1.toml" --listen 127.0.0.1:0 >"$log" 2>&1 &
	simulator=$!
	simulators="$simulators $simulator"
	tries=0
	until grep -q '^address' "$log"; do
		kill -0 "$simulator" 2>/dev/null || { cat "$log" >&2; exit 1; }
		tries=$((tries + 1))
		[ $tries -lt 300 ] || { echo "the simulator does not come up" >&2; exit 1; }
		sleep 0.1
	done
	PVE_URL=$(sed -n 's/^address *//p' "$log")
	PVE_HOST=$(echo "$PVE_URL" | sed 's,https://,,; s,:.*,,')
	PVE_PORT=$(echo "$PVE_URL" | sed 's,.*:,,; s,/.*,,')
	PVE_VERSION=$1
	export PVE_URL PVE_HOST PVE_PORT PVE_VERSION
}

# Both releases at once: what takes the time are the starts of Python.
play() {
	inventory=$folder/inventory.yml
	{
		echo "simulators:"
		echo "  vars: { ansible_connection: local, ansible_python_interpreter: '$venv/bin/python' }"
		echo "  hosts:"
	} >"$inventory"
	for version in 8.4 9.2; do
		start $version
		mkdir -p "$folder/ansible-$version"
		echo "    pve-$version: { release: '$version', pve_port: $PVE_PORT, work: '$folder/ansible-$version' }" >>"$inventory"
	done
	log=$folder/ansible.log
	parts=$(echo "${ANSIBLE_PARTS:-}" | sed 's/[a-z][a-z]*/"&",/g; s/, *$//')
	if ! ANSIBLE_CONFIG=$here/ansible/ansible.cfg ANSIBLE_HOME=$folder/ansible-home ansible-playbook \
		--inventory "$inventory" ${parts:+--extra-vars "{\"parts\":[$parts]}"} "$here/ansible/play.yml" >"$log" 2>&1; then
		grep -A 12 -e '^\[ERROR\]' -e '^ERROR' -e '^fatal' -e '^failed' "$log" >&2 || tail -n 40 "$log" >&2
		exit 1
	fi
	tail -n 3 "$log"
	stop
}

began=$(date +%s)
for client in "$@"; do
	case $client in
	curl | proxmoxer)
		for version in 8.4 9.2; do
			start $version
			echo "--- $client on $version"
			case $client in
			curl) sh "$here/curl.sh" ;;
			proxmoxer) python "$here/with_proxmoxer.py" ;;
			esac
			stop
		done
		;;
	ansible)
		echo "--- ansible on 8.4 and 9.2"
		play
		;;
	*)
		echo "no such client: $client" >&2
		exit 1
		;;
	esac
	now=$(date +%s)
	echo "$client: $((now - began)) s"
	began=$now
done
echo "report: $* did all they were asked on 8.4 and 9.2"
