// Package architecture checks which packages may import and use what: where secrets are revealed, where requests are
// made, where the clock is read. It has no code of its own.
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

const module = "github.com/appfigures-exporter/appfigures_exporter/"

// rules say that no file but those in the directories, or of the names, of except may import or use what is forbidden:
// a path of an import, a PATH.NAME of another package, or a .NAME of a method.
var rules = []struct {
	name      string
	in        []string // directories or files that the rule is about; none: all
	except    []string
	forbidden []string
}{
	{
		name:      "probe, config and state import no other package of the module",
		in:        []string{"internal/probe", "internal/config", "internal/state"},
		forbidden: []string{module},
	},
	{
		name:      "only exporter imports appfigures: the others see its results as values",
		except:    []string{"internal/exporter"},
		forbidden: []string{module + "internal/appfigures"},
	},
	{
		name:      "nobody but main, for the demo, imports the simulator",
		except:    []string{"main.go"},
		forbidden: []string{module + "internal/simulator"},
	},
	{name: "monitor does no I/O", in: []string{"internal/monitor"}, forbidden: []string{"net", "os"}},
	{
		name: "collector and status turn values into values: they do no I/O and read no clock",
		in:   []string{"collector", "internal/status"},
		forbidden: []string{
			"net", "os", "time.Now", "time.Since", "time.Until", "time.After", "time.NewTimer", "time.NewTicker", "time.Sleep",
		},
	},
	{
		name:      "only main knows kingpin",
		except:    []string{"main.go"},
		forbidden: []string{"github.com/alecthomas/kingpin/v2"},
	},
	{
		name:   "only appfigures makes requests; healthcheck and check --exporter make them to exporters",
		except: []string{"internal/appfigures", "internal/web/healthcheck.go", "internal/check/exporter.go"},
		forbidden: []string{
			"net/http.Client", "net/http.Transport", "net/http.DefaultClient", "net/http.DefaultTransport", "net/http.Get",
			"net/http.Post", "net.Dial", "net.Dialer", "crypto/tls.Dial",
			"github.com/prometheus/common/config.NewClientFromConfig",
		},
	},
	{
		name:      "only appfigures, and config itself, reveal a secret",
		except:    []string{"internal/appfigures", "internal/config"},
		forbidden: []string{".Reveal"},
	},
	{name: "no other program is run", forbidden: []string{"os/exec"}},
}

func TestRules(t *testing.T) {
	files := productFiles(t)
	for _, r := range rules {
		governed := 0
		for name, uses := range files {
			within := func(dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }
			if len(r.in) > 0 && !slices.ContainsFunc(r.in, within) || slices.ContainsFunc(r.except, within) {
				continue
			}
			governed++
			for _, forbidden := range r.forbidden {
				for _, use := range uses {
					if use == forbidden || strings.HasPrefix(use, strings.TrimSuffix(forbidden, "/")+"/") {
						t.Errorf("%s uses %s: %s", name, use, r.name)
					}
				}
			}
		}
		if governed == 0 {
			t.Errorf("there is no file for the rule: %s", r.name)
		}
	}
}

// productFiles returns what each Go file of the module uses of other packages, but for tests.
func productFiles(t *testing.T) map[string][]string {
	t.Helper()
	files := make(map[string][]string)
	for _, pattern := range []string{"*.go", "*/*.go", "internal/*/*.go", "internal/*/*/*.go"} {
		names, err := fs.Glob(os.DirFS("../.."), pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !strings.HasSuffix(name, "_test.go") {
				files[name] = usesOf(t, name)
			}
		}
	}
	if len(files) < 40 {
		t.Fatalf("found only %d files", len(files))
	}
	return files
}

// usesOf returns the imports of a file, and what it selects of them and of values.
func usesOf(t *testing.T, name string) (uses []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../..", name), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	paths := make(map[string]string) // of imports, by the name that the file gives them
	for _, spec := range parsed.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		uses = append(uses, imported)
		paths[path.Base(imported)] = imported
		if spec.Name != nil {
			paths[spec.Name.Name] = imported
		}
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			uses = append(uses, "."+selector.Sel.Name)
			if of, ok := selector.X.(*ast.Ident); ok {
				uses = append(uses, paths[of.Name]+"."+selector.Sel.Name)
			}
		}
		return true
	})
	return uses
}
