# Prints what yaml.awk read, one node per line: pointer, kind, value. For tests.
END {
	if (!refused) { parse(); flat("") }
}
function flat(p,    i, v) {
	v = value[p]
	gsub(/\\/, "\\\\", v)
	gsub(/\n/, "\\n", v)
	gsub(/\t/, "\\t", v)
	if (kind[p] == "str" || kind[p] == "plain") print p " " kind[p] " <" v ">"
	else print p " " kind[p]
	for (i = 0; i < count[p]; i++) flat(child[p, i])
}
