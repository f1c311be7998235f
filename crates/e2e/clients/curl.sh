#!/bin/sh
# What people do with curl, after Proxmox's own wiki: a ticket, a cookie, a
# token, a clone, an upload.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
api=$PVE_URL/api2/json

fail() {
	echo "curl.sh: $*" >&2
	exit 1
}

# status REASON: what the last call must have answered.
call() { # EXPECTED METHOD PATH [ARGUMENTS…]
	expected=$1
	method=$2
	path=$3
	shift 3
	curl -sk -o "$work/body" -D "$work/head" -X "$method" "$@" "$api$path" || fail "$method $path: curl failed"
	status=$(sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p' "$work/head")
	[ "$status" = "$expected" ] || fail "$method $path: expected $expected, got $(head -n 1 "$work/head") $(cat "$work/body")"
}

value() { # KEY: a string member of the body
	sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$work/body"
}

finished() { # waits for the task in "data"
	upid=$(value data)
	case $upid in UPID:*) ;; *) fail "expected a task, got $(cat "$work/body")" ;; esac
	node=$(echo "$upid" | cut -d: -f2)
	tries=0
	while :; do
		call 200 GET "/nodes/$node/tasks/$(echo "$upid" | sed 's/:/%3A/g; s/@/%40/g; s/!/%21/g')/status" -b "PVEAuthCookie=$ticket"
		[ "$(value status)" = running ] || break
		tries=$((tries + 1))
		[ $tries -lt 600 ] || fail "$upid does not end"
		sleep 0.1
	done
	[ "$(value exitstatus)" = OK ] || fail "$upid ended with $(value exitstatus)"
}

call 200 POST /access/ticket -d 'username=root@pam' --data-urlencode 'password=correct horse'
ticket=$(value ticket)
csrf=$(value CSRFPreventionToken)
[ -n "$ticket" ] && [ -n "$csrf" ] || fail "no ticket: $(cat "$work/body")"
cookie="PVEAuthCookie=$ticket"

call 200 GET /version -b "$cookie"
[ "$(value release)" = "$PVE_VERSION" ] || fail "expected release $PVE_VERSION: $(cat "$work/body")"
call 401 GET /version
call 401 POST /pools -b "$cookie" -d poolid=without-csrf
call 200 GET /nodes -H 'Authorization: PVEAPIToken=root@pam!clients=11111111-2222-3333-4444-555555555555'

call 200 POST /nodes/pve1/qemu/9000/clone -b "$cookie" -H "CSRFPreventionToken: $csrf" -d newid=300 -d name=by-curl
finished
call 200 POST /nodes/pve1/qemu/300/status/start -b "$cookie" -H "CSRFPreventionToken: $csrf" -d ''
finished
call 200 GET /nodes/pve1/qemu/300/status/current -b "$cookie"
[ "$(value status)" = running ] || fail "300 does not run: $(cat "$work/body")"
call 500 DELETE /nodes/pve1/qemu/300 -b "$cookie" -H "CSRFPreventionToken: $csrf"
call 200 POST /nodes/pve1/qemu/300/status/stop -b "$cookie" -H "CSRFPreventionToken: $csrf" -d ''
finished
call 200 DELETE '/nodes/pve1/qemu/300?purge=1' -b "$cookie" -H "CSRFPreventionToken: $csrf"
finished
call 500 GET /nodes/pve1/qemu/300/config -b "$cookie"

# A file: the fields before the file, as Proxmox wants it.
head -c 300000 /dev/urandom >"$work/cd.iso"
sum=$(sha256sum "$work/cd.iso" | cut -d' ' -f1)
call 200 POST /nodes/pve1/storage/local/upload -b "$cookie" -H "CSRFPreventionToken: $csrf" \
	-F content=iso -F checksum-algorithm=sha256 -F "checksum=$sum" -F "filename=@$work/cd.iso"
finished
call 200 GET '/nodes/pve1/storage/local/content?content=iso' -b "$cookie"
grep -q '"local:iso/cd.iso"' "$work/body" || fail "the upload is not listed: $(cat "$work/body")"
call 200 DELETE /nodes/pve1/storage/local/content/local:iso/cd.iso -b "$cookie" -H "CSRFPreventionToken: $csrf"

# JSON bodies, compressed answers, and what is not there.
call 200 POST /pools -b "$cookie" -H "CSRFPreventionToken: $csrf" -H 'Content-Type: application/json' -d '{"poolid":"curl","comment":"a b"}'
call 200 GET /pools --compressed -b "$cookie"
grep -q '"a b"' "$work/body" || fail "the pool's comment: $(cat "$work/body")"
call 501 GET /nope -b "$cookie"
call 400 GET /nodes/pve1/tasks/nonsense/status -b "$cookie"

# How Proxmox refuses, and what it makes of odd requests.
call 401 POST /access/ticket -d 'username=root@pam' -d password=wrong
[ "$(value message | head -c 22)" = "authentication failure" ] || fail "a wrong password: $(cat "$work/body")"
call 401 GET /version -H 'Authorization: PVEAPIToken=root@pam!clients=0'
[ ! -s "$work/body" ] || fail "a 401 has a body: $(cat "$work/body")"
call 200 GET //nodes//pve1/status -b "$cookie"
call 501 DELETE /pools/curl -b "$cookie" -H "CSRFPreventionToken: $csrf" -d force=1
call 400 PUT /pools/curl -b "$cookie" -H "CSRFPreventionToken: $csrf" -d 'comment=order;net0'
grep -q '"net0":"property is not defined' "$work/body" || fail "a semicolon does not end a parameter: $(cat "$work/body")"
call 200 DELETE /pools/curl -b "$cookie" -H "CSRFPreventionToken: $csrf"
