# Reads the part of YAML that cloud-config documents use, and refuses the rest
# with a line number. Meant for busybox awk inside the tiny guest; any POSIX awk
# runs it too. (Ubuntu 22.04's takes "name (" for a call where a concatenation is
# meant, so that is avoided.) A second program with an END rule uses the result:
#
#   awk -f yaml.awk -f cloud-config.awk document
#
# The result is held by JSON pointer (RFC 6901: "~1" for "/", "~0" for "~"):
#   kind[p]      "map", "seq", "str" (quoted or block), "plain", "null"
#   value[p]     text of a scalar
#   count[p]     number of entries of a map or sequence
#   child[p, i]  pointer of entry i (0..count-1), in the order of the document
#   name[p]      last part of the pointer as it was written
#
# Understood: block maps and sequences (also compact ones), flow maps and
# sequences over several lines (so JSON is understood), plain, single- and
# double-quoted scalars over several lines, literal (|) and folded (>) blocks
# with indentation and chomping indicators, comments, one "---".
# Refused: anchors, aliases, tags, merge keys, complex keys, directives, several
# documents, tabs as indentation, duplicate keys, more than 32 levels.

{
	sub(/\r$/, "")
	line[NR] = $0
	lines = NR
	size += length($0) + 1
	if (size > 1048576) refuse(NR, "the document is larger than 1 MiB")
}

function refuse(at, why) {
	if (!refused) {
		refused = 1
		printf "line %d: %s\n", at, why > "/dev/stderr"
	}
	exit 1
}

function spaces(n,    s) {
	s = ""
	while (n-- > 0) s = s " "
	return s
}

function indent_of(s) {
	match(s, /^ */)
	return RLENGTH
}

function trim(s) {
	sub(/^[ \t]+/, "", s)
	sub(/[ \t]+$/, "", s)
	return s
}

# Moves `at` to the next line that holds something; 0 when there is none.
function next_content(    s) {
	while (at <= lines) {
		s = line[at]
		if (s ~ /^(---|\.\.\.)([ \t]|$)/) {
			if (s ~ /^\.\.\./) { finish_document(at + 1); return 0 }
			if (started) refuse(at, "more than one document")
			started = 1
			sub(/^---/, "   ", s)
			line[at] = s
			continue
		}
		if (s ~ /^[ ]*$/ || s ~ /^[ \t]*#/ || s ~ /^[ \t]*$/) { at++; continue }
		if (s ~ /^%/) refuse(at, "directives (%) are not supported")
		if (s ~ /^ *\t/) refuse(at, "a tab is used as indentation")
		started = 1
		return 1
	}
	return 0
}

function finish_document(from,    i) {
	for (i = from; i <= lines; i++)
		if (line[i] !~ /^[ \t]*(#.*)?$/ && line[i] !~ /^\.\.\.[ \t]*$/)
			refuse(i, "more than one document")
	at = lines + 1
}

# True when the document ends here or goes on left of column `column`.
function leaves(column) {
	if (!next_content()) return 1
	return indent_of(line[at]) < column
}

function add(parent, key,    p, k) {
	k = key
	gsub(/~/, "~0", k)
	gsub(/\//, "~1", k)
	p = parent "/" k
	if (kind[p] != "") refuse(at, "the key \"" key "\" is there twice")
	child[parent, count[parent]++] = p
	name[p] = key
	kind[p] = "null"
	return p
}

function scalar(p, k, v) {
	kind[p] = k
	value[p] = v
	if (k == "plain" && v ~ /^(~|null|Null|NULL)?$/) kind[p] = "null"
}

# Position of the colon that ends a plain key in `s`, or 0.
function key_colon(s,    i, n, c, d) {
	n = length(s)
	for (i = 1; i <= n; i++) {
		c = substr(s, i, 1)
		if (c == "#" && (i == 1 || substr(s, i - 1, 1) ~ /[ \t]/)) return 0
		if (c == ":") {
			d = substr(s, i + 1, 1)
			if (d == "" || d == " " || d == "\t") return i
		}
	}
	return 0
}

# Length of the quoted text at the start of `s`, or 0 when it does not end in `s`.
function quoted_length(s,    q, i, n, c) {
	q = substr(s, 1, 1)
	n = length(s)
	for (i = 2; i <= n; i++) {
		c = substr(s, i, 1)
		if (c == "\\" && q == "\"") { i++; continue }
		if (c == q) {
			if (q == "'" && substr(s, i + 1, 1) == "'") { i++; continue }
			return i
		}
	}
	return 0
}

# If `s` starts with "key:", sets key_text and key_rest (where the value starts).
function split_key(s,    n, first) {
	first = substr(s, 1, 1)
	if (first == "\"" || first == "'") {
		n = quoted_length(s)
		if (!n || substr(s, n + 1) !~ /^[ \t]*:([ \t]|$)/) return 0
		key_text = unquote(substr(s, 1, n))
		key_rest = n + index(substr(s, n + 1), ":") + 1
		return 1
	}
	if (index("[{|>#%@`,]}", first)) return 0
	n = key_colon(s)
	if (!n) return 0
	if (index("&*!", first)) refuse(at, "anchors, aliases and tags (" first ") are not supported")
	key_text = trim(substr(s, 1, n - 1))
	if (key_text == "<<") refuse(at, "merge keys (<<) are not supported")
	key_rest = n + 1
	return 1
}

# Parses the node that starts in the next line, at column `column` or right of it.
function block(p, column, depth,    s, in_) {
	if (depth > 32) refuse(at, "more than 32 levels")
	if (leaves(column)) return
	in_ = indent_of(line[at])
	s = substr(line[at], in_ + 1)
	if (s ~ /^-([ \t]|$)/) sequence(p, in_, depth)
	else if (s ~ /^\?([ \t]|$)/) refuse(at, "complex keys (?) are not supported")
	else if (split_key(s)) mapping(p, in_, depth)
	else inline(p, in_ + 1, column - 1, depth)
}

function sequence(p, in_, depth,    s, item, n) {
	kind[p] = "seq"
	n = 0
	while (!leaves(in_)) {
		s = line[at]
		if (indent_of(s) != in_) refuse(at, "the indentation fits nothing above")
		if (substr(s, in_ + 1) !~ /^-([ \t]|$)/) break
		item = add(p, n++)
		# "- key: v" is the same as the map alone, two columns further right.
		line[at] = spaces(in_ + 1) substr(s, in_ + 2)
		value_of(item, in_ + 2, in_, depth, 0)
	}
	if (!leaves(in_ + 1)) refuse(at, "the indentation fits nothing above")
}

function mapping(p, in_, depth,    s, item) {
	kind[p] = "map"
	while (!leaves(in_)) {
		s = line[at]
		if (indent_of(s) != in_) refuse(at, "the indentation fits nothing above")
		s = substr(s, in_ + 1)
		if (s ~ /^\?([ \t]|$)/) refuse(at, "complex keys (?) are not supported")
		if (s ~ /^-([ \t]|$)/ || !split_key(s)) refuse(at, "expected \"key: value\"")
		item = add(p, key_text)
		value_of(item, in_ + key_rest, in_, depth, 1)
	}
}

# The value that starts at `col` of this line, or in the lines below.
function value_of(p, col, parent, depth, after_key,    rest, here) {
	rest = substr(line[at], col)
	if (rest ~ /^[ \t]*(#.*)?$/) {
		at++
		if (!next_content()) return
		here = indent_of(line[at])
		# A sequence may stand in the column of the key that it belongs to.
		if (after_key && here == parent && substr(line[at], here + 1) ~ /^-([ \t]|$)/)
			sequence_below(p, here, depth + 1)
		else
			block(p, parent + 1, depth + 1)
		return
	}
	match(rest, /^[ \t]*/)
	col += RLENGTH
	rest = substr(rest, RLENGTH + 1)
	if (!after_key && (rest ~ /^-([ \t]|$)/ || split_key(rest))) {
		line[at] = spaces(col - 1) rest
		block(p, parent + 1, depth + 1)
		return
	}
	inline(p, col, parent, depth + 1)
}

function sequence_below(p, in_, depth,    s, item, n) {
	if (depth > 32) refuse(at, "more than 32 levels")
	kind[p] = "seq"
	n = 0
	while (!leaves(in_)) {
		s = line[at]
		if (indent_of(s) != in_ || substr(s, in_ + 1) !~ /^-([ \t]|$)/) break
		item = add(p, n++)
		line[at] = spaces(in_ + 1) substr(s, in_ + 2)
		value_of(item, in_ + 2, in_, depth, 0)
	}
}

# A scalar or flow collection that starts at `col` of this line.
function inline(p, col, parent, depth,    first, s) {
	s = substr(line[at], col)
	first = substr(s, 1, 1)
	if (first == "|" || first == ">") { block_scalar(p, s, parent); return }
	if (index("&*!", first)) refuse(at, "anchors, aliases and tags (" first ") are not supported")
	if (index("%@`", first)) refuse(at, "a plain value cannot start with " first)
	if (first == "[" || first == "{" || first == "\"" || first == "'") {
		pos = col
		flow(p, depth, parent)
		s = substr(line[at], pos)
		if (s !~ /^[ \t]*$/ && s !~ /^[ \t]+#/) refuse(at, "unexpected text after the value: " trim(s))
		at++
		return
	}
	plain(p, s, parent)
}

function plain(p, s, parent,    v, n, gap) {
	v = plain_line(s)
	gap = ""
	n = s ~ /[ \t]#/
	at++
	while (!n && at <= lines) {
		if (line[at] ~ /^[ \t]*$/) { gap = gap "\n"; at++; continue }
		if (indent_of(line[at]) <= parent || line[at] ~ /^(---|\.\.\.)([ \t]|$)/) break
		if (line[at] ~ /^[ \t]*#/) break
		n = line[at] ~ /[ \t]#/
		if (gap == "") gap = " "
		v = v gap plain_line(trim(line[at]))
		gap = ""
		at++
	}
	scalar(p, "plain", v)
}

function plain_line(s) {
	if (key_colon(s)) refuse(at, "\": \" inside an unquoted value; put the value in quotes")
	if (match(s, /[ \t]#/)) s = substr(s, 1, RSTART - 1)
	return trim(s)
}

function block_scalar(p, header, parent,    style, chomp, own, s, v, n, i, in_, pend, prev_more, more, first) {
	style = substr(header, 1, 1)
	s = substr(header, 2)
	sub(/[ \t]+#.*$/, "", s)
	s = trim(s)
	if (s !~ /^([-+]?[1-9]?|[1-9][-+])$/) refuse(at, "wrong block indicator \"" style s "\"")
	chomp = index(s, "-") ? "-" : index(s, "+") ? "+" : ""
	gsub(/[-+]/, "", s)
	in_ = s == "" ? 0 : (parent < 0 ? 0 : parent) + s
	own = s != ""
	at++
	if (!own) {
		for (i = at; i <= lines && line[i] ~ /^ *$/; i++);
		in_ = i <= lines ? indent_of(line[i]) : 0
		if (in_ <= parent) in_ = parent + 1
	}
	v = ""
	pend = ""
	first = 1
	for (; at <= lines; at++) {
		s = line[at]
		if (s ~ /^ *$/ && length(s) <= in_) { pend = pend "\n"; continue }
		if (indent_of(s) < in_) {
			if (s ~ /^ *\t/ && indent_of(s) > parent) refuse(at, "a tab is used as indentation")
			break
		}
		if (in_ == 0 && s ~ /^(---|\.\.\.)([ \t]|$)/) break
		s = substr(s, in_ + 1)
		more = s ~ /^[ \t]/
		if (first) v = pend s
		else if (style == "|" || more || prev_more) v = v "\n" pend s
		else if (pend == "") v = v " " s
		else v = v pend s
		pend = ""
		prev_more = more
		first = 0
	}
	if (first) v = chomp == "+" ? pend : ""
	else if (chomp == "+") v = v "\n" pend
	else if (chomp == "") v = v "\n"
	scalar(p, "str", v)
}

# --- flow style: `at` and `pos` point at the next character -----------------

function flow_skip(parent,    s) {
	for (;;) {
		s = substr(line[at], pos)
		match(s, /^[ \t]*/)
		pos += RLENGTH
		s = substr(line[at], pos, 1)
		if (s != "" && !(s == "#" && (pos == 1 || substr(line[at], pos - 1, 1) ~ /[ \t]/))) return s
		at++
		pos = 1
		if (at > lines || line[at] ~ /^(---|\.\.\.)([ \t]|$)/) refuse(at - 1, "a bracket or quote is not closed")
	}
}

function flow(p, depth, parent,    c) {
	if (depth > 32) refuse(at, "more than 32 levels")
	c = flow_skip(parent)
	if (c == "[") flow_sequence(p, depth, parent)
	else if (c == "{") flow_mapping(p, depth, parent)
	else if (c == "\"" || c == "'") scalar(p, "str", flow_quoted())
	else scalar(p, "plain", flow_plain())
}

function flow_sequence(p, depth, parent,    c, n, item) {
	kind[p] = "seq"
	pos++
	n = 0
	while ((c = flow_skip(parent)) != "]") {
		if (c == ",") refuse(at, "a value is missing before \",\"")
		item = add(p, n++)
		flow(item, depth + 1, parent)
		c = flow_skip(parent)
		if (c == ":") refuse(at, "a map inside [ ] needs its own { }")
		if (c == ",") pos++
		else if (c != "]") refuse(at, "expected \",\" or \"]\"")
	}
	pos++
}

function flow_mapping(p, depth, parent,    c, item, key) {
	kind[p] = "map"
	pos++
	while ((c = flow_skip(parent)) != "}") {
		if (index(",[{:?", c)) refuse(at, "expected a key")
		key = c == "\"" || c == "'" ? flow_quoted() : flow_plain()
		if (key == "<<") refuse(at, "merge keys (<<) are not supported")
		item = add(p, key)
		c = flow_skip(parent)
		if (c == ":") {
			pos++
			c = flow_skip(parent)
			if (c != "," && c != "}") flow(item, depth + 1, parent)
			c = flow_skip(parent)
		}
		if (c == ",") pos++
		else if (c != "}") refuse(at, "expected \",\" or \"}\"")
	}
	pos++
}

function flow_plain(    s, i, n, c, d, v) {
	s = substr(line[at], pos)
	c = substr(s, 1, 1)
	if (index("&*!", c)) refuse(at, "anchors, aliases and tags (" c ") are not supported")
	if (index("%@`|>", c)) refuse(at, "a plain value cannot start with " c)
	n = length(s)
	for (i = 1; i <= n; i++) {
		c = substr(s, i, 1)
		if (index(",[]{}", c)) break
		if (c == "#" && i > 1 && substr(s, i - 1, 1) ~ /[ \t]/) break
		d = substr(s, i + 1, 1)
		if (c == ":" && (d == "" || index(" \t,[]{}", d))) break
	}
	pos += i - 1
	v = trim(substr(s, 1, i - 1))
	if (v == "" && c != ":") refuse(at, "a value is missing")
	return v
}

# A quoted scalar, maybe over several lines (folded as YAML does).
function flow_quoted(    s, n, text, gap, start) {
	start = at
	s = substr(line[at], pos)
	text = s
	while (!(n = quoted_length(text))) {
		gap = ""
		do {
			at++
			if (at > lines) refuse(start, "a bracket or quote is not closed")
			if (line[at] ~ /^[ \t]*$/) gap = gap "\n"
		} while (line[at] ~ /^[ \t]*$/)
		s = line[at]
		sub(/^[ \t]+/, "", s)
		if (text ~ /^".*\\$/ && text !~ /[^\\](\\\\)+$/) text = substr(text, 1, length(text) - 1) gap s
		else {
			sub(/[ \t]+$/, "", text)
			if (gap == "") gap = " "
			text = text gap s
		}
		pos = 1
	}
	# What is left of this line after the closing quote stays to be read.
	pos = length(line[at]) - (length(text) - n) + 1
	return unquote(substr(text, 1, n))
}

function unquote(s,    q, v, i, c, n) {
	q = substr(s, 1, 1)
	s = substr(s, 2, length(s) - 2)
	v = ""
	if (q == "'") {
		while ((i = index(s, "''"))) { v = v substr(s, 1, i); s = substr(s, i + 2) }
		return v s
	}
	while ((i = index(s, "\\"))) {
		v = v substr(s, 1, i - 1)
		c = substr(s, i + 1, 1)
		s = substr(s, i + 2)
		n = c == "x" ? 2 : c == "u" ? 4 : c == "U" ? 8 : 0
		if (n) {
			v = v escaped_code(substr(s, 1, n), n)
			s = substr(s, n + 1)
			if (surrogate) {
				if (s !~ /^\\u[dD][c-fC-F]/) refuse(at, "half of a surrogate pair")
				v = v utf8(65536 + (surrogate - 55296) * 1024 + number(substr(s, 3, 4)) - 56320)
				s = substr(s, 7)
			}
		} else if (c == "n") v = v "\n"
		else if (c == "t" || c == "\t") v = v "\t"
		else if (c == "r") v = v "\r"
		else if (c == "e") v = v "\033"
		else if (c == "a") v = v "\007"
		else if (c == "b") v = v "\010"
		else if (c == "f") v = v "\014"
		else if (c == "v") v = v "\013"
		else if (c == "\"" || c == "\\" || c == "/" || c == " ") v = v c
		else refuse(at, "unknown escape \\" c)
	}
	return v s
}

function number(hex,    i, v) {
	v = 0
	hex = tolower(hex)
	for (i = 1; i <= length(hex); i++) v = v * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
	return v
}

function escaped_code(hex, digits,    v) {
	surrogate = 0
	if (length(hex) != digits || hex !~ /^[0-9a-fA-F]+$/) refuse(at, "wrong hexadecimal escape")
	v = number(hex)
	if (v == 0) refuse(at, "a NUL character is not supported")
	if (v >= 55296 && v <= 56319) { surrogate = v; return "" }
	if (v > 1114111 || v >= 56320 && v <= 57343) refuse(at, "wrong hexadecimal escape")
	return utf8(v)
}

function utf8(v) {
	if (v < 128) return sprintf("%c", v)
	if (v < 2048) return sprintf("%c%c", 192 + int(v / 64), 128 + v % 64)
	if (v < 65536) return sprintf("%c%c%c", 224 + int(v / 4096), 128 + int(v / 64) % 64, 128 + v % 64)
	return sprintf("%c%c%c%c", 240 + int(v / 262144), 128 + int(v / 4096) % 64, 128 + int(v / 64) % 64, 128 + v % 64)
}

# Parses the whole document; the result hangs under the pointer "".
function parse() {
	at = 1
	kind[""] = "null"
	block("", 0, 0)
	if (next_content()) refuse(at, "the indentation fits nothing above")
}
