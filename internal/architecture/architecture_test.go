// Package architecture checks which packages may import and use what. The rules make the boundaries of the packages
// true: where secrets are revealed, where requests are made, where the clock is read.
package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/appfigures-exporter/appfigures_exporter"
)

// file is what the rules see of a Go file: names are relative to the repository's root.
type file struct {
	name, dir string
	imports   []string // paths
	selects   []string // PATH.NAME of what it uses of other packages, and .NAME of methods and fields
}

func (f file) in(dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return within(f.dir, dir) })
}

func (f file) is(names ...string) bool { return slices.Contains(names, f.name) }

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

var rules = []struct {
	name    string
	governs func(file) bool
	forbids func(imported string) bool
	unused  []string // selectors that must not be used
}{
	{
		name: "probe, config, state and simulator import no other package of the module",
		governs: func(f file) bool {
			return f.in("internal/probe", "internal/config", "internal/state", "internal/simulator")
		},
		forbids: func(imported string) bool { return within(imported, module) },
	},
	{
		name:    "only exporter imports appfigures: the others see its results as values",
		governs: func(f file) bool { return !f.in("internal/exporter", "internal/appfigures") },
		forbids: func(imported string) bool { return imported == module+"/internal/appfigures" },
	},
	{
		name:    "collector does no I/O and reads no clock",
		governs: func(f file) bool { return f.in("collector") },
		forbids: func(imported string) bool { return within(imported, "net") || within(imported, "os") },
		unused: []string{
			"time.Now", "time.Since", "time.Until", "time.After", "time.NewTimer", "time.NewTicker", "time.Sleep",
		},
	},
	{
		name:    "only main knows kingpin",
		governs: func(f file) bool { return f.name != "main.go" },
		forbids: func(imported string) bool { return strings.Contains(imported, "kingpin") },
	},
	{
		name: "only appfigures makes requests; healthcheck and check make them to exporters",
		governs: func(f file) bool {
			return !f.in("internal/appfigures") && !f.is("internal/web/healthcheck.go", "internal/check/exporter.go")
		},
		unused: []string{
			"net/http.Client", "net/http.Transport", "net/http.DefaultClient", "net/http.DefaultTransport", "net/http.Get",
			"net/http.Post", "net.Dial", "net.Dialer", "crypto/tls.Dial",
		},
	},
	{
		name:    "only appfigures, and config itself, reveal a secret",
		governs: func(f file) bool { return !f.in("internal/appfigures", "internal/config") },
		unused:  []string{".Reveal"},
	},
	{
		name:    "no other program is run",
		governs: func(file) bool { return true },
		forbids: func(imported string) bool { return imported == "os/exec" },
	},
}

func TestRules(t *testing.T) {
	governed := make([]int, len(rules))
	for _, f := range productFiles(t) {
		for i, r := range rules {
			if !r.governs(f) {
				continue
			}
			governed[i]++
			for _, imported := range f.imports {
				if r.forbids != nil && r.forbids(imported) {
					t.Errorf("%s imports %s: %s", f.name, imported, r.name)
				}
			}
			for _, selector := range f.selects {
				if slices.Contains(r.unused, selector) {
					t.Errorf("%s uses %s: %s", f.name, selector, r.name)
				}
			}
		}
	}
	for i, n := range governed {
		if n == 0 {
			t.Errorf("no file is governed by the rule that %s", rules[i].name)
		}
	}
}

// TestRoot checks that main.go and its test are the only Go files at the root.
func TestRoot(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "*.go"))
	if err != nil || len(files) != 2 || filepath.Base(files[0]) != "main.go" || filepath.Base(files[1]) != "main_test.go" {
		t.Errorf("Go files at the root: %q (%v)", files, err)
	}
}

// productFiles reads the Go files of the module that are not tests.
func productFiles(t *testing.T) (files []file) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if path != root && (err == nil || strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			files = append(files, readFile(t, path))
		}
		return nil
	})
	if err != nil || len(files) < 40 {
		t.Fatalf("found %d files (%v)", len(files), err)
	}
	return files
}

func readFile(t *testing.T, at string) file {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), at, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	name, err := filepath.Rel(root, at)
	if err != nil {
		t.Fatal(err)
	}
	name = filepath.ToSlash(name)
	f := file{name: name, dir: filepath.ToSlash(filepath.Dir(name))}
	paths := make(map[string]string) // of imports, by the name that the file gives them
	for _, spec := range parsed.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		f.imports = append(f.imports, imported)
		paths[path.Base(imported)] = imported
		if spec.Name != nil {
			paths[spec.Name.Name] = imported
		}
		if spec.Name != nil && spec.Name.Name == "." {
			t.Errorf("%s imports %s with a dot, which hides what it uses", name, imported)
		}
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			f.selects = append(f.selects, "."+selector.Sel.Name)
			if of, ok := selector.X.(*ast.Ident); ok {
				f.selects = append(f.selects, paths[of.Name]+"."+selector.Sel.Name)
			}
		}
		return true
	})
	return f
}
