package config

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"
)

// value is a YAML node with its position, and the list that its problems are reported to. Methods that return ok report
// a problem if it is false.
type value struct {
	position            // of its key or, in a list, of the item
	node     *yaml.Node // never an alias
	problems *problems
}

// errorf reports a problem: what is wrong; what would be right.
func (v value) errorf(format string, args ...any) {
	v.problems.add(v.position, fmt.Sprintf(format, args...))
}

// child returns the value below v that node holds. step is added to the path of keys.
func (v value) child(node *yaml.Node, line int, step string) value {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return value{position{v.file, line, v.path + step}, node, v.problems}
}

// text returns a scalar as it is written. An empty one is a problem.
func (v value) text() (text string, ok bool) {
	switch {
	case !v.hasKind(yaml.ScalarNode):
		return "", false
	case isNull(v.node) || v.node.Value == "":
		v.errorf("empty; give it a value, or remove the key")
		return "", false
	}
	return v.node.Value, true
}

// items returns the items of a list. Null is an empty list: a key whose items are all commented out.
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

// entry is a key of a mapping with its value. The value's path is that of the mapping: only a key that is surely not a
// secret may be added to it.
type entry struct {
	key   string
	value value
}

// entries returns the entries of a mapping, in their order. Null is an empty mapping.
func (v value) entries() (entries []entry, ok bool) {
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
			of.errorf("a key that is not a word; write KEY: VALUE")
		case key.Tag == "!!merge":
			of.errorf("merge keys (<<) are not supported; write the keys out")
		default:
			entries = append(entries, entry{key.Value, of})
		}
	}
	return entries, true
}

// kinds describes each kind of node, and how to write it. Aliases are resolved, and a document contains no document.
var kinds = map[yaml.Kind]struct{ name, form string }{
	yaml.ScalarNode:   {"a single value", "KEY: VALUE"},
	yaml.SequenceNode: {"a list", "each item after a dash"},
	yaml.MappingNode:  {"a mapping", "KEY: VALUE, each on a line"},
}

// hasKind reports whether v is of the kind, and without a tag that would make it something else.
func (v value) hasKind(kind yaml.Kind) bool {
	switch {
	case v.node.Kind != kind:
		v.errorf("%s where %s belongs; write %s", kinds[v.node.Kind].name, kinds[kind].name, kinds[kind].form)
	case v.node.Style&yaml.TaggedStyle != 0 && v.node.Tag != "!!str":
		v.errorf("YAML tags are not supported; remove the tag, and quote a value that starts with an exclamation mark")
	default:
		return true
	}
	return false
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.Tag == "!!null" && node.Style&yaml.TaggedStyle == 0
}

// duration returns a duration as Prometheus writes it (1m30s, 1d) or as Go does (1.5s, -1s).
func (v value) duration() (time.Duration, bool) {
	text, ok := v.text()
	if !ok {
		return 0, false
	}
	if d, err := model.ParseDuration(text); err == nil {
		return time.Duration(d), true
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		v.errorf("not a duration; write a number with its unit, such as 10s, 1m30s or 500ms")
		return 0, false
	}
	return d, true
}

// bool returns whether v is true. Anything but true and false is a problem.
func (v value) bool() bool {
	text, ok := v.text()
	if ok && text != "true" && text != "false" {
		v.errorf("neither true nor false; write one of them")
	}
	return text == "true"
}

// readable returns the path of a file that can be read, from dir if it is relative.
func (v value) readable(dir string) (path string, ok bool) {
	text, ok := v.text()
	if !ok {
		return "", false
	}
	path = inDir(dir, text)
	file, err := openRegular(path)
	if err != nil {
		v.errorf("%v", err)
		return "", false
	}
	_ = file.Close()
	return path, true
}

func inDir(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
