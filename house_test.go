package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/appfigures-exporter/appfigures_exporter"

// TestHouseRules holds what may import and call what, for every Go file that is not a test. The rules make the
// boundaries of the packages true: where secrets are revealed, where requests are made, where the clock is read.
func TestHouseRules(t *testing.T) {
	count := 0
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if base := entry.Name(); base != "." && (base == "testdata" || strings.HasPrefix(base, ".") || isModule(name)) {
				return filepath.SkipDir
			}
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			count++
			for _, broken := range breaches(t, filepath.ToSlash(name), nil) {
				t.Error(broken)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count < 20 {
		t.Errorf("looked at only %d files", count)
	}
}

// isModule reports whether dir is a module of its own, such as that of developers' tools.
func isModule(dir string) bool {
	found, _ := filepath.Glob(filepath.Join(dir, "go.mod"))
	return len(found) > 0
}

// sourceFile is what the rules see of a file.
type sourceFile struct {
	dir, name string
	imports   []string // paths
	uses      []string // of what other packages declare, such as net/http.Client
	methods   []string // names of methods and fields that it selects
}

// rule is one of the house's rules.
type rule struct {
	name     string
	governs  func(f sourceFile) bool
	noImport func(path string) bool
	noUse    func(name string) bool // path and name, such as net/http.Client
	noMethod string
}

var rules = []rule{
	{
		name:     "no import with a dot, which hides from the other rules",
		governs:  func(sourceFile) bool { return true },
		noImport: func(path string) bool { return strings.HasPrefix(path, ". ") },
	},
	{
		name:     "config and simulator import nothing of ours",
		governs:  func(f sourceFile) bool { return in(f.dir, "internal/config") || in(f.dir, "internal/simulator") },
		noImport: isOurs,
	},
	{
		name:     "collector does no I/O",
		governs:  func(f sourceFile) bool { return in(f.dir, "collector") },
		noImport: func(path string) bool { return in(path, "net") || in(path, "os") || in(path, "syscall") },
	},
	{
		name:    "collector reads no clock",
		governs: func(f sourceFile) bool { return in(f.dir, "collector") },
		noUse: func(name string) bool {
			return isOneOf(name, "time", "Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", "Sleep")
		},
	},
	{
		name:    "only main knows kingpin",
		governs: func(f sourceFile) bool { return f.dir != "." },
		noImport: func(path string) bool {
			return strings.Contains(path, "kingpin") || strings.HasSuffix(path, "promslog/flag")
		},
	},
	{
		name: "only appfigures makes requests, and healthcheck to the exporter itself",
		governs: func(f sourceFile) bool {
			return !in(f.dir, "internal/appfigures") && f.name != "internal/web/healthcheck.go"
		},
		noImport: func(path string) bool {
			return in(path, "golang.org/x/net") || in(path, "net/rpc") || in(path, "net/smtp")
		},
		noUse: func(name string) bool {
			return isOneOf(name, "net/http", "Client", "Transport", "DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm", "NewRequest", "NewRequestWithContext") ||
				isOneOf(name, "net/http/httputil", "ReverseProxy", "NewSingleHostReverseProxy", "ClientConn", "NewClientConn", "NewProxyClientConn") ||
				strings.HasPrefix(name, "net.Dial") || strings.HasPrefix(name, "net.Lookup") || isOneOf(name, "net", "Resolver", "DefaultResolver", "ResolveIPAddr", "ResolveTCPAddr", "ResolveUDPAddr") ||
				strings.HasPrefix(name, "crypto/tls.Dial") || isOneOf(name, "crypto/tls", "Client", "QUICClient") ||
				isOneOf(name, "syscall", "Connect", "Sendto", "Sendmsg")
		},
	},
	{
		name:     "no other program is run",
		governs:  func(sourceFile) bool { return true },
		noImport: func(path string) bool { return path == "os/exec" },
		noUse: func(name string) bool {
			return isOneOf(name, "os", "StartProcess") || isOneOf(name, "syscall", "StartProcess", "ForkExec", "Exec")
		},
	},
	{
		name:     "only appfigures, and config itself, reveal a secret",
		governs:  func(f sourceFile) bool { return !in(f.dir, "internal/appfigures") && !in(f.dir, "internal/config") },
		noMethod: "Reveal",
	},
}

// in reports whether path is dir or lies below it.
func in(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func isOurs(path string) bool { return in(path, modulePath) }

func isOneOf(name, pkg string, names ...string) bool {
	declared, ok := strings.CutPrefix(name, pkg+".")
	return ok && slices.Contains(names, declared)
}

// breaches returns a line for each rule that the file breaks, and where. A nil source is read from the file.
func breaches(t *testing.T, name string, source any) (lines []string) {
	t.Helper()
	f := readSource(t, name, source)
	for _, r := range rules {
		if !r.governs(f) {
			continue
		}
		add := func(what string) { lines = append(lines, fmt.Sprintf("%s: %s: %s", f.name, what, r.name)) }
		for _, path := range f.imports {
			if r.noImport != nil && r.noImport(path) {
				add("imports " + path)
			}
		}
		for _, use := range f.uses {
			if r.noUse != nil && r.noUse(use) {
				add("uses " + use)
			}
		}
		if r.noMethod != "" && slices.Contains(f.methods, r.noMethod) {
			add("uses " + r.noMethod)
		}
	}
	return lines
}

func readSource(t *testing.T, name string, source any) sourceFile {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	f := sourceFile{dir: path.Dir(name), name: name}
	paths := make(map[string]string) // of imports, by the name that the file gives them
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		local := nameOf(imported)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		if local == "." {
			f.imports = append(f.imports, ". "+imported)
		}
		f.imports = append(f.imports, imported)
		paths[local] = imported
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		f.methods = append(f.methods, selector.Sel.Name)
		if of, ok := selector.X.(*ast.Ident); ok && paths[of.Name] != "" {
			f.uses = append(f.uses, paths[of.Name]+"."+selector.Sel.Name)
		}
		return true
	})
	return f
}

// majorVersion is the last part of a path that names no package: /v2, or .v2 as at gopkg.in.
var majorVersion = regexp.MustCompile(`[/.]v[0-9]+$`)

// nameOf returns the name by which a file calls an imported package when it gives it none of its own, as far as the
// path tells.
func nameOf(imported string) string {
	return path.Base(majorVersion.ReplaceAllString(imported, ""))
}

// TestHouseRulesNoticeABreach breaks each rule.
func TestHouseRulesNoticeABreach(t *testing.T) {
	const (
		importOurs = `package p; import _ "` + modulePath + `/collector"`
		noRequests = ": only appfigures makes requests, and healthcheck to the exporter itself"
		request    = `package p; import web "net/http"; var _ = web.Get`
		reveal     = `package p; func f(s interface{ Reveal() string }) string { return s.Reveal() }`
		revealLate = `package p; func f(s interface{ Reveal() string }) func() string { return s.Reveal }`
	)
	for _, test := range []struct {
		file, source string
		want         []string
	}{
		{"internal/web/a.go", `package p; import . "net/http"`, []string{"imports . net/http: no import with a dot, which hides from the other rules"}},
		{"internal/config/a.go", importOurs, []string{"imports " + modulePath + "/collector: config and simulator import nothing of ours"}},
		{"internal/simulator/a.go", importOurs, []string{"imports " + modulePath + "/collector: config and simulator import nothing of ours"}},
		{"internal/web/a.go", importOurs, nil},
		{"collector/a.go", `package p; import _ "os/user"`, []string{"imports os/user: collector does no I/O"}},
		{"collector/a.go", `package p; import _ "net"`, []string{"imports net: collector does no I/O"}},
		{"collector/a.go", `package p; import _ "networks"`, nil},
		{"collector/a.go", `package p; import clock "time"; var _ = clock.Now`, []string{"uses time.Now: collector reads no clock"}},
		{"collector/a.go", `package p; import "time"; var _ time.Time`, nil},
		{"internal/web/a.go", `package p; import _ "github.com/alecthomas/kingpin/v2"`, []string{"imports github.com/alecthomas/kingpin/v2: only main knows kingpin"}},
		{"main.go", `package main; import _ "github.com/alecthomas/kingpin/v2"`, nil},
		{"internal/web/a.go", request, []string{"uses net/http.Get" + noRequests}},
		{"main.go", `package main; import "net/http"; var _ = &http.Client{}`, []string{"uses net/http.Client" + noRequests}},
		{"internal/web/a.go", `package p; import "net"; var _ = net.DialUDP`, []string{"uses net.DialUDP" + noRequests}},
		{"internal/web/a.go", `package p; import "net"; var _ = net.DialUnix`, []string{"uses net.DialUnix" + noRequests}},
		{"internal/web/a.go", `package p; import "net"; var _ net.Dialer`, []string{"uses net.Dialer" + noRequests}},
		{"internal/web/a.go", `package p; import "net"; var _ = net.DialIP`, []string{"uses net.DialIP" + noRequests}},
		{"internal/web/a.go", `package p; import "net"; var _ = net.LookupHost`, []string{"uses net.LookupHost" + noRequests}},
		{"internal/web/a.go", `package p; import "net"; var _ net.Resolver`, []string{"uses net.Resolver" + noRequests}},
		{"internal/web/a.go", `package p; import "net"; var _ = net.ResolveTCPAddr`, []string{"uses net.ResolveTCPAddr" + noRequests}},
		{"internal/web/a.go", `package p; import "net"; var _ = net.Listen`, nil},
		{"internal/web/a.go", `package p; import "crypto/tls"; var _ = tls.Client`, []string{"uses crypto/tls.Client" + noRequests}},
		{"internal/web/a.go", `package p; import "crypto/tls"; var _ = tls.DialWithDialer`, []string{"uses crypto/tls.DialWithDialer" + noRequests}},
		{"internal/web/a.go", `package p; import "crypto/tls"; var _ tls.ClientHelloInfo`, nil},
		{"internal/web/a.go", `package p; import "net/http/httputil"; var _ httputil.ReverseProxy`, []string{"uses net/http/httputil.ReverseProxy" + noRequests}},
		{"internal/web/a.go", `package p; import "syscall"; var _ = syscall.Connect`, []string{"uses syscall.Connect" + noRequests}},
		{"internal/web/a.go", `package p; import _ "golang.org/x/net/http2"`, []string{"imports golang.org/x/net/http2" + noRequests}},
		{"internal/appfigures/a.go", `package p; import _ "os/exec"`, []string{"imports os/exec: no other program is run"}},
		{"main.go", `package main; import "os"; var _ = os.StartProcess`, []string{"uses os.StartProcess: no other program is run"}},
		{"main.go", `package main; import "syscall"; var _ = syscall.Exec`, []string{"uses syscall.Exec: no other program is run"}},
		{"internal/web/healthcheck.go", request, nil},
		{"internal/appfigures/a.go", request, nil},
		{"internal/web/a.go", `package p; import "net/http"; var _ http.Handler`, nil},
		{"internal/monitor/a.go", reveal, []string{"uses Reveal: only appfigures, and config itself, reveal a secret"}},
		{"internal/monitor/a.go", revealLate, []string{"uses Reveal: only appfigures, and config itself, reveal a secret"}},
		{"internal/appfigures/a.go", reveal, nil},
	} {
		for i := range test.want {
			test.want[i] = test.file + ": " + test.want[i]
		}
		if got := breaches(t, test.file, test.source); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s with %s:\ngot  %q\nwant %q", test.file, test.source, got, test.want)
		}
	}
}

// TestUsesAreKnownByTheirPackage holds that the rules see what is used of a package whose path does not end in its name.
func TestUsesAreKnownByTheirPackage(t *testing.T) {
	for path, use := range map[string]string{
		"net/http":                         "http.Get",
		"gopkg.in/yaml.v3":                 "yaml.Get",
		"github.com/alecthomas/kingpin/v2": "kingpin.Get",
		"example.com/v2/client":            "client.Get",
		"example.com/v2ray":                "v2ray.Get",
	} {
		f := readSource(t, "a.go", fmt.Sprintf("package p; import %q; var _ = %s", path, use))
		if want := path + ".Get"; !slices.Equal(f.uses, []string{want}) {
			t.Errorf("%s of %s: sees uses of %q, want %s", use, path, f.uses, want)
		}
	}
}
