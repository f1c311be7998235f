#!/bin/sh
# schemathesis (PyPI) against the native door and its OpenAPI description: no
# request that it makes up may be answered with a failure of ours, or with what
# the description does not say.
#
#   run.sh DOOR FOLDER [OPTION…]   DOOR: the example `door` of the package api;
#                                  FOLDER keeps the Python environment between runs;
#                                  OPTIONs go to schemathesis
set -eu
here=$(cd "$(dirname "$0")" && pwd)
door=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
mkdir -p "$2"
folder=$(cd "$2" && pwd)
shift 2

command -v python3 >/dev/null || { echo "python3 is missing; install the packages python3 and python3-venv" >&2; exit 1; }
key=$(sha256sum "$here/requirements.txt" | cut -c 1-16)
venv=$folder/python-$key
if [ ! -e "$venv/complete" ]; then
	rm -rf "$folder"/python-*
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
	touch "$venv/complete"
fi

# The door ends when nobody holds its standard input any more.
rm -f "$folder/hold" "$folder/said"
mkfifo "$folder/hold"
"$door" <"$folder/hold" >"$folder/said" &
served=$!
exec 3>"$folder/hold"
stop() {
	exec 3>&-
	wait "$served" || :
}
trap stop EXIT
trap 'exit 1' HUP INT TERM
tries=0
until [ -s "$folder/said" ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 300 ] || { echo "the door says nothing" >&2; exit 1; }
	sleep 0.1
done
read -r address token <"$folder/said"

cd "$folder"
# Its own token is the only one there: it is not to revoke that.
"$venv/bin/schemathesis" run "$address/openapi.json" \
	--header "Authorization: Bearer $token" \
	--checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance \
	--phases examples,coverage,fuzzing --max-examples 15 --seed 20 --request-timeout 20 \
	--exclude-path '/v1/tokens/{id}' --generation-with-security-parameters false --no-color "$@" 3>&-
