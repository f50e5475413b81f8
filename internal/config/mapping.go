package config

import (
	"slices"
	"strings"
)

// field is a known key of a mapping, with the function that reads its value into a T.
type field[T any] struct {
	key  string
	read func(into *T, v value)
}

// mapping is what readMapping found.
type mapping struct {
	known   map[string]value // values of known keys
	unknown bool             // whether there were other keys, or none that could be read
}

// missing reports whether the mapping has none of the known keys named, and no unknown one that may be meant for one of
// them: that is reported already, and its consequence would only hide it.
func (m mapping) missing(keys ...string) bool {
	return !m.unknown && !slices.ContainsFunc(keys, func(key string) bool { _, ok := m.known[key]; return ok })
}

// readMapping reads the mapping v by its fields.
func readMapping[T any](into *T, v value, fields []field[T]) mapping {
	before := len(*v.problems)
	entries, _ := v.entries()
	found := mapping{known: make(map[string]value, len(entries)), unknown: len(*v.problems) > before}
	for _, entry := range entries {
		i := slices.IndexFunc(fields, func(f field[T]) bool { return f.key == entry.key })
		if i < 0 {
			entry.value.errorf("%s", explainUnknown(entry.key, fields))
			found.unknown = true
			continue
		}
		entry.value.path = strings.TrimPrefix(v.path+"."+entry.key, ".")
		if first, twice := found.known[entry.key]; twice {
			entry.value.errorf("already given on line %d; keep one", first.line)
			continue
		}
		found.known[entry.key] = entry.value
		fields[i].read(into, entry.value)
	}
	return found
}

// insecureKey is a key that Prometheus knows in a tls_config. It is answered with the reason why it is missing here.
const insecureKey = "insecure_skip_verify"

// explainUnknown returns which of the fields an unknown key may have meant, without quoting the key.
func explainUnknown[T any](key string, fields []field[T]) string {
	if key == insecureKey {
		return insecureKey + " is not supported: anyone could receive the tokens; " +
			"set ca_file to trust a certificate of your own"
	}
	var keys []string
	for _, f := range fields {
		if distance(key, f.key) <= 2 {
			return "unknown key; did you mean " + f.key + "?"
		}
		keys = append(keys, f.key)
	}
	return "unknown key; known here: " + strings.Join(keys, ", ")
}

// distance returns how many bytes must be added, removed or replaced to turn a into b (the Levenshtein distance), or a
// greater number if it is far over 2.
func distance(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return len(a) + len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
