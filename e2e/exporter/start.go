package exporter

import (
	"os/exec"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/process"
)

// AnyPort is the address to listen at for those who do not mind which.
const AnyPort = "127.0.0.1:0"

// Running is an exporter that listens.
type Running struct {
	*process.Process
	Address string // host and port
}

// Start starts the binary in a directory that is empty, with no environment but env, so that nothing of this machine
// comes in. It waits until the exporter listens.
func Start(t *testing.T, binary, listen string, env []string, args ...string) *Running {
	t.Helper()
	cmd := exec.Command(binary, append(args, "--web.listen-address="+listen)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{}, env...) // not nil, which would be the test's own
	p := process.Start(t, "the exporter", cmd)
	return &Running{p, p.Address()}
}
