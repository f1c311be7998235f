# Turns a document that yaml.awk has read into shell for the seed script, which
# defines the functions that are called here. Every value is single-quoted, so
# nothing of the document is ever expanded by the shell.
#
#   -v mode=keys      the top-level keys, one per line
#   -v mode=meta      a NoCloud meta-data document
#   -v mode=network   a network-config document
#   -v mode=init      everything of a cloud-config document but the commands
#   -v mode=bootcmd   the script made of "bootcmd", if there is one
#   -v mode=runcmd    the script made of "runcmd", if there is one
#   -v skip="a b"     top-level keys that are left out (user data wins over
#                     vendor data, key by key)

END {
	if (!refused) {
		parse()
		if (kind[""] != "map" && kind[""] != "null") refuse(1, "expected a map at the top level")
		n = split(skip, words, " ")
		for (i = 1; i <= n; i++) skipped[words[i]] = 1
		if (mode == "keys") for (i = 0; i < count[""]; i++) print name[child["", i]]
		else if (mode == "meta") meta()
		else if (mode == "network") network()
		else if (mode == "init") init()
		else if (!(mode in skipped)) commands("/" mode)
	}
}

function quoted(s,    i, v) {
	v = "'"
	while ((i = index(s, "'"))) { v = v substr(s, 1, i - 1) "'\\''"; s = substr(s, i + 1) }
	return v s "'"
}

function note(s) { print "note " quoted(s) }
function fail(s) { print "fail " quoted(s) }
function is_text(p) { return kind[p] == "str" || kind[p] == "plain" }
function text(p) { return is_text(p) ? value[p] : "" }
function is_true(p) { return kind[p] == "plain" && value[p] ~ /^([Tt]rue|TRUE|[Yy]es|YES|[Oo]n|ON)$/ }
function has(key) { return kind["/" key] != "" && !(key in skipped) }

# --- meta-data ---------------------------------------------------------------

function meta(    i, p) {
	if (is_text("/instance-id")) print "instance_id=" quoted(text("/instance-id"))
	if (is_text("/local-hostname")) print "local_hostname=" quoted(text("/local-hostname"))
	p = "/public-keys"
	if (is_text(p)) print "meta_key " quoted(text(p))
	for (i = 0; i < count[p]; i++) {
		if (is_text(child[p, i])) print "meta_key " quoted(text(child[p, i]))
		else if (is_text(child[p, i] "/openssh-key")) print "meta_key " quoted(text(child[p, i] "/openssh-key"))
		else each_key(child[p, i], "meta_key")
	}
}

function each_key(p, call,    i) {
	if (is_text(p)) print call " " quoted(text(p))
	else if (kind[p] == "seq" || kind[p] == "map")
		for (i = 0; i < count[p]; i++) print call " " quoted(text(child[p, i]))
	else if (kind[p] != "null" && kind[p] != "") fail(p ": expected a list of keys")
}

# --- network-config, version 2: static addresses of NICs besides the first ---

function network(    base, i, j, e, mac) {
	base = kind["/network"] != "" ? "/network" : ""
	if (text(base "/version") != "2") {
		note("network-config: only version 2 is understood; every NIC uses DHCP")
		return
	}
	for (i = 0; i < count[base "/ethernets"]; i++) {
		e = child[base "/ethernets", i]
		mac = tolower(text(e "/match/macaddress"))
		for (j = 0; j < count[e "/addresses"]; j++)
			print "nic_address " quoted(name[e]) " " quoted(mac) " " quoted(text(child[e "/addresses", j]))
	}
}

# --- cloud-config ------------------------------------------------------------

function init(    i, key) {
	known("hostname fqdn users ssh_authorized_keys write_files runcmd bootcmd ssh_pwauth password chpasswd phone_home final_message")
	# These change nothing that the tiny guest has.
	known("manage_etc_hosts preserve_hostname prefer_fqdn_over_hostname ssh_deletekeys ssh_genkeytypes disable_root growpart resize_rootfs package_update package_upgrade package_reboot_if_required apt output ssh_quiet_keygen ssh")
	for (i = 0; i < count[""]; i++) {
		key = name[child["", i]]
		if (!(key in understood) && !(key in skipped)) note("ignored: \"" key "\" needs a full image")
	}
	if (has("fqdn")) print "set_hostname " quoted(text("/fqdn"))
	else if (has("hostname")) print "set_hostname " quoted(text("/hostname"))
	if (has("write_files")) write_files(0)
	users()
	if (has("ssh_authorized_keys")) each_key("/ssh_authorized_keys", "default_key")
	if (has("ssh_pwauth") && is_true("/ssh_pwauth")) print "allow_passwords"
	if (has("password")) print "set_password \"$default_user\" plain " quoted(text("/password"))
	if (has("chpasswd")) passwords()
	if (has("write_files")) write_files(1)
	if (has("phone_home")) print "phone_home_url=" quoted(text("/phone_home/url"))
	if (has("final_message")) print "final_message=" quoted(text("/final_message"))
}

function known(keys,    n, i) {
	n = split(keys, words, " ")
	for (i = 1; i <= n; i++) understood[words[i]] = 1
}

function write_files(deferred,    i, p) {
	if (kind["/write_files"] != "seq") { if (!deferred) fail("write_files: expected a list"); return }
	for (i = 0; i < count["/write_files"]; i++) {
		p = child["/write_files", i]
		if (is_true(p "/defer") != deferred) continue
		if (text(p "/path") !~ /^\//) { fail("write_files: entry " i ": \"path\" must start with /"); continue }
		if (kind[p "/source"] != "") { fail("write_files: entry " i ": \"source\" is not supported"); continue }
		print "write_file " quoted(text(p "/path")) " " quoted(text(p "/encoding")) " " quoted(text(p "/owner")) " " quoted(text(p "/permissions")) " " is_true(p "/append") " " quoted(text(p "/content"))
	}
}

function users(    i, p, u) {
	if (!has("users")) { print "add_default_user"; return }
	if (kind["/users"] != "seq") { fail("users: expected a list"); return }
	for (i = 0; i < count["/users"]; i++) {
		p = child["/users", i]
		if (is_text(p)) {
			if (text(p) == "default") print "add_default_user"
			else print "add_user " quoted(text(p)) " '' '' '' ''"
			continue
		}
		u = text(p "/name")
		if (u !~ /^[a-zA-Z_][a-zA-Z0-9_.-]*$/) { fail("users: entry " i ": a user needs a \"name\" of letters, digits, _ . -"); continue }
		print "add_user " quoted(u) " " quoted(text(p "/uid")) " " quoted(text(p "/gecos")) " " quoted(text(p "/homedir")) " " quoted(text(p "/shell"))
		if (kind[p "/sudo"] != "" && u != "root") note("users: " u ": there is no sudo in the tiny guest; use root")
		user_keys = "user_key " quoted(u)
		each_key(p "/ssh_authorized_keys", user_keys)
		each_key(p "/ssh-authorized-keys", user_keys)
		if (kind[p "/ssh_import_id"] != "") note("users: " u ": ssh_import_id is ignored")
		if (is_text(p "/passwd")) print "set_password " quoted(u) " hash " quoted(text(p "/passwd"))
		else if (is_text(p "/hashed_passwd")) print "set_password " quoted(u) " hash " quoted(text(p "/hashed_passwd"))
		else if (is_text(p "/plain_text_passwd")) print "set_password " quoted(u) " plain " quoted(text(p "/plain_text_passwd"))
	}
}

function passwords(    i, n, p, pair, c) {
	p = "/chpasswd/list"
	if (is_text(p)) n = split(text(p), pair, "\n")
	else for (n = 0; n < count[p]; n++) pair[n + 1] = text(child[p, n])
	for (i = 1; i <= n; i++) {
		if (pair[i] == "") continue
		c = index(pair[i], ":")
		if (!c) { fail("chpasswd: expected \"user:password\" in line " i); continue }
		one_password(substr(pair[i], 1, c - 1), substr(pair[i], c + 1), "")
	}
	p = "/chpasswd/users"
	for (i = 0; i < count[p]; i++)
		one_password(text(child[p, i] "/name"), text(child[p, i] "/password"), text(child[p, i] "/type"))
}

function one_password(user, password, type) {
	if (password ~ /^\$[0-9a-z]+\$/ || type == "hash") type = "hash"
	else type = "plain"
	print "set_password " quoted(user) " " type " " quoted(password)
}

# A list of commands: a string is a line of shell, a list is one command with
# its arguments.
function commands(p,    i, j, c, s) {
	if (kind[p] == "" || kind[p] == "null") return
	if (kind[p] != "seq") refuse(1, mode ": expected a list")
	print "#!/bin/sh"
	for (i = 0; i < count[p]; i++) {
		c = child[p, i]
		if (is_text(c)) print text(c)
		else if (kind[c] == "seq") {
			s = ""
			for (j = 0; j < count[c]; j++) {
				if (!is_text(child[c, j])) refuse(1, mode ": entry " i ": an argument is neither text nor a number")
				if (j) s = s " "
				s = s quoted(text(child[c, j]))
			}
			print s
		} else if (kind[c] != "null") refuse(1, mode ": entry " i ": expected text or a list")
	}
}
