package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// problem is one thing wrong in a configuration. Its text quotes nothing of the configuration but known keys.
type problem struct {
	line int    // counted from 1; 0 when no line has it
	path string // of keys, such as tokens[1].timeout; empty for the document itself
	text string // what is wrong; what would be right
}

// maxProblems bounds what is reported at once, and with it the work that a hostile file can cause.
const maxProblems = 20

// problems collects what is wrong with one file.
type problems []problem

func (m *problems) full() bool { return len(*m) >= maxProblems }

func (m *problems) sort() {
	slices.SortStableFunc(*m, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
}

// err returns all problems in the file called name as one error, a line each, or nil when there are none.
func (m *problems) err(name string) error {
	more := m.full()
	*m = (*m)[:min(len(*m), maxProblems)]
	m.sort()
	var errs []error
	for _, problem := range *m {
		errs = append(errs, errors.New(problem.in(name)))
	}
	if more {
		errs = append(errs, fmt.Errorf("%s: there may be more; these are the first %d", name, maxProblems))
	}
	return errors.Join(errs...)
}

// in returns the problem as a line "name:line: path: text".
func (m problem) in(name string) string {
	var b strings.Builder
	b.WriteString(name)
	if m.line > 0 {
		fmt.Fprintf(&b, ":%d", m.line)
	}
	b.WriteString(": ")
	if m.path != "" {
		b.WriteString(m.path + ": ")
	}
	b.WriteString(m.text)
	return b.String()
}

// value is a place in the document: what stands there, where that is, and where to report what is wrong with it.
// Its methods that return ok report the problem themselves when it is false.
type value struct {
	node     *yaml.Node // never an alias
	line     int        // of its key or, in a list, of the item
	path     string
	problems *problems
}

// report reports a problem: what is wrong; what would be right.
func (v value) report(text string) {
	*v.problems = append(*v.problems, problem{v.line, v.path, text})
}

// child returns the value below v that node holds.
func (v value) child(node *yaml.Node, line int, step string) value {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return value{node: node, line: line, path: v.path + step, problems: v.problems}
}

// text returns a scalar as it is written. It never has an empty one.
func (v value) text() (text string, ok bool) {
	switch {
	case !v.hasKind(yaml.ScalarNode):
		return "", false
	case isNull(v.node) || v.node.Value == "":
		v.report("empty; give it a value, or remove the key")
		return "", false
	}
	return v.node.Value, true
}

// items returns the items of a list. Nothing is an empty list: a key whose items are all commented out.
func (v value) items() (items []value, ok bool) {
	if isNull(v.node) {
		return nil, true
	}
	if !v.hasKind(yaml.SequenceNode) {
		return nil, false
	}
	for i, node := range v.node.Content {
		items = append(items, v.child(node, node.Line, fmt.Sprintf("[%d]", i)))
	}
	return items, true
}

// pair is a key of a mapping with its value. The value's path is that of the mapping: only a key that is known to
// be no secret may be added to it.
type pair struct {
	key   string
	value value
}

// pairs returns the pairs of a mapping, in their order. Nothing is an empty mapping.
func (v value) pairs() (pairs []pair, ok bool) {
	if isNull(v.node) {
		return nil, true
	}
	if !v.hasKind(yaml.MappingNode) {
		return nil, false
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		of := v.child(v.node.Content[i+1], key.Line, "")
		switch {
		case v.problems.full():
			return nil, false
		case key.Kind != yaml.ScalarNode || isNull(key):
			of.report("a key that is not a word; write KEY: VALUE")
		case key.Tag == "!!merge":
			of.report("merge keys (<<) are not supported; write the keys out")
		default:
			pairs = append(pairs, pair{key.Value, of})
		}
	}
	return pairs, true
}

// kinds says what stands at a place, and how to write it. Aliases are resolved, and a document holds no document.
var kinds = map[yaml.Kind]struct{ name, form string }{
	yaml.ScalarNode:   {"a single value", "KEY: VALUE"},
	yaml.SequenceNode: {"a list", "each item after a dash"},
	yaml.MappingNode:  {"a mapping", "KEY: VALUE, each on a line"},
}

// hasKind reports whether v is of the kind, and without a tag that would make it something else.
func (v value) hasKind(kind yaml.Kind) bool {
	switch {
	case v.node.Kind != kind:
		v.report(fmt.Sprintf("%s where %s belongs; write %s", kinds[v.node.Kind].name, kinds[kind].name, kinds[kind].form))
	case v.node.Style&yaml.TaggedStyle != 0 && v.node.Tag != "!!str":
		v.report("YAML tags are not supported; remove the tag, and quote a value that starts with an exclamation mark")
	default:
		return true
	}
	return false
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.Tag == "!!null" && node.Style&yaml.TaggedStyle == 0
}

// field is one key of a mapping, and what reads its value into a T.
type field[T any] struct {
	key  string
	read func(into *T, v value)
}

// keys is what a mapping holds.
type keys struct {
	at     map[string]value // where the values of known keys stand
	others bool             // whether there is something else in it, which was refused
}

// missing reports whether the mapping has none of the known keys named, nor anything that may be meant for one: what only
// follows from a problem that was reported would hide it.
func (k keys) missing(names ...string) bool {
	return !k.others && !slices.ContainsFunc(names, func(name string) bool { _, ok := k.at[name]; return ok })
}

// readMapping reads the mapping v by its fields.
func readMapping[T any](into *T, v value, fields []field[T]) keys {
	before := len(*v.problems)
	pairs, _ := v.pairs()
	found := keys{at: make(map[string]value, len(pairs)), others: len(*v.problems) > before}
	for _, pair := range pairs {
		i := slices.IndexFunc(fields, func(f field[T]) bool { return f.key == pair.key })
		if i < 0 {
			pair.value.report(explainUnknown(pair.key, fields))
			found.others = true
			continue
		}
		pair.value.path = strings.TrimPrefix(v.path+"."+pair.key, ".")
		if first, twice := found.at[pair.key]; twice {
			pair.value.report(fmt.Sprintf("already given on line %d; keep one", first.line))
			continue
		}
		found.at[pair.key] = pair.value
		fields[i].read(into, pair.value)
	}
	return found
}

// insecureKey is one that Prometheus knows in a tls_config; it deserves the reason why it is missing here.
const insecureKey = "insecure_skip_verify"

// explainUnknown says which of the fields an unknown key may have meant, without quoting the key.
func explainUnknown[T any](key string, fields []field[T]) string {
	if key == insecureKey {
		return insecureKey + " is not supported, as tokens would go to whoever answers; set ca_file to trust a certificate of your own"
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

// distance returns how many bytes must be added, removed or replaced to make b of a (Levenshtein's distance), or any
// greater number when it is far over 2.
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
