// Package architecture checks which packages may import and use what: where secrets are revealed, where requests are
// made, where the clock is read. It has no code of its own.
package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/appfigures-exporter/appfigures_exporter"

// rules say that no file but those in the directories, or of the names, of except may import or use what is forbidden:
// a path of an import, a PATH.NAME of another package, or a .NAME of a method.
var rules = []struct {
	name      string
	in        []string // directories or files that the rule is about; none: all
	except    []string
	forbidden []string
}{
	{
		name:      "probe, config and logbuffer import no other package of the module",
		in:        []string{"internal/probe", "internal/config", "internal/logbuffer"},
		forbidden: []string{module},
	},
	{
		name:      "state keeps what answers said; it knows neither tokens of the configuration nor who decides",
		in:        []string{"internal/state"},
		forbidden: []string{module + "/internal/config", module + "/internal/monitor"},
	},
	{
		name:      "only exporter imports appfigures: the others see its results as values",
		except:    []string{"internal/exporter"},
		forbidden: []string{module + "/internal/appfigures"},
	},
	{
		name:      "only main knows kingpin, and, for the demo, the simulator",
		except:    []string{"main.go"},
		forbidden: []string{"github.com/alecthomas/kingpin/v2", module + "/internal/simulator"},
	},
	{
		name:      "monitor, collector and status do no I/O",
		in:        []string{"internal/monitor", "collector", "internal/status"},
		forbidden: []string{"net", "os"},
	},
	{
		name:      "monitor knows what is in the state file, not the file",
		in:        []string{"internal/monitor"},
		forbidden: []string{module + "/internal/state.Open", module + "/internal/state.Read", module + "/internal/state.File"},
	},
	{
		name:      "collector and status read no clock: they turn values into values",
		in:        []string{"collector", "internal/status"},
		forbidden: []string{"time.Now", "time.Since", "time.Until", "time.After", "time.NewTimer", "time.NewTicker", "time.Sleep"},
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

// TestRules checks the rules in all files but those of tests.
func TestRules(t *testing.T) {
	governed := make([]int, len(rules)) // files
	for _, pattern := range []string{"*.go", "*/*.go", "internal/*/*.go"} {
		files, _ := filepath.Glob(filepath.Join("../..", pattern))
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			name, uses := strings.TrimPrefix(filepath.ToSlash(file), "../../"), usesOf(t, file)
			within := func(dir string) bool { return strings.HasPrefix(name+"/", dir+"/") }
			for i, r := range rules {
				if len(r.in) > 0 && !slices.ContainsFunc(r.in, within) || slices.ContainsFunc(r.except, within) {
					continue
				}
				governed[i]++
				for _, use := range uses {
					isWithin := func(forbidden string) bool { return strings.HasPrefix(use+"/", forbidden+"/") }
					if slices.ContainsFunc(r.forbidden, isWithin) {
						t.Errorf("%s uses %s: %s", name, use, r.name)
					}
				}
			}
		}
	}
	for i, r := range rules {
		if governed[i] == 0 || len(r.in) == 0 && governed[i] < 30 {
			t.Errorf("only %d files are checked for the rule: %s", governed[i], r.name)
		}
	}
}

// usesOf returns the imports of a file, and what it selects of them and of values.
func usesOf(t *testing.T, name string) (uses []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	paths := make(map[string]string) // of imports, by the name that the file gives them
	for _, spec := range parsed.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
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
