# Prints what yaml.awk read, one node per line: pointer, kind, value. For tests.
END {
	if (!refused) { parse(); flat("") }
}
function flat(p,    i, v) {
	v = value[p]
	gsub(/\\/, "\\\\", v)
	gsub(/\n/, "\\n", v)
	gsub(/\t/, "\\t", v)
	print p " " kind[p] (kind[p] == "str" || kind[p] == "plain" ? " <" v ">" : "")
	for (i = 0; i < count[p]; i++) flat(child[p, i])
}
