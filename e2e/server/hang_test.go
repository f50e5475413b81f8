package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// TestHangs blocks the opening of one token file, as a file system does whose server is gone, and then standard error,
// as container engines do whose log driver stalls: everything else works, and SIGTERM ends the exporter.
func TestHangs(t *testing.T) {
	t.Parallel()
	x := prepare(t, 3)
	x.api.SetLimit(simulator.DefaultAccount, harness.Plenty)
	x.WriteConfig(harness.Read(t, x.Dir+"/config.yml") + harness.Unpaced)
	x.Args = []string{"--log.level=debug"}
	x.Start()
	x.await(valid(0, 1), valid(1, 1), valid(2, 1))
	unblock, err := harness.BlockOpen(x.Dir + "/file-1")
	if err != nil {
		t.Fatal(err)
	}
	defer unblock()
	before, _ := harness.Sum(x.Scrape(), "go_goroutines")
	for i := range 10 {
		exposition := x.Scrape()
		if err := harness.Expect(exposition,
			`appfigures_probe_result{result="valid",token="token-0"} 1`,
			`appfigures_probe_result{result="no_token",token="token-1"} 1`, valid(1, 1),
			`appfigures_probe_result{result="valid",token="token-2"} 1`,
		); err != nil {
			t.Errorf("scrape %d: %v", i, err)
		}
		if now, _ := harness.Sum(exposition, "go_goroutines"); now > before+10 {
			t.Errorf("%v goroutines, %v at first", now, before)
		}
	}

	unblockOutput, err := x.BlockOutput()
	if err != nil {
		t.Fatal(err)
	}
	x.Until(time.Minute, func(exposition string) error {
		if dropped, _ := harness.Sum(exposition, "appfigures_exporter_log_lines_dropped_total"); dropped == 0 {
			x.Signal(syscall.SIGHUP) // logs some lines
			return fmt.Errorf("no line was dropped, so standard error does not block")
		}
		return nil
	})
	x.api.Set(secretOf(0), simulator.Revoked)
	x.await(valid(0, 0))
	for _, path := range []string{"/", "/probe?target=token-2", "/sd", "/api/v1/status", "/-/healthy", "/-/ready"} {
		x.Get(path)
	}
	if response, body, err := x.Request(http.MethodPost, "/-/reload"); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("reloading: %v, %v\n%s", response, err, body)
	}
	x.Signal(syscall.SIGTERM)
	harness.Until(t, 30*time.Second, func() error {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", x.PID())); err == nil {
			return errors.New("SIGTERM does not end the exporter")
		}
		return nil
	})
	unblockOutput()
	x.Stop()
}

// TestSlowClients connects hundreds of clients that never end their requests or do not read their responses, while an
// ordinary scraper is served as usual. The exporter closes the connections by itself.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	const clients = 200
	x := prepare(t, 1)
	x.Start()
	x.await(valid(0, 1))
	descriptors := func() float64 {
		open, _ := harness.Sum(x.Scrape(), "process_open_fds")
		return open
	}
	before := descriptors()
	unread := strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 2000) // their responses fit in no buffer
	for i := range clients {
		conn, err := net.Dial("tcp", x.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() {
			_, err := io.WriteString(conn, []string{"", "GET /", "GET / HTTP/1.1\r\nHost: x\r\n", unread}[i%4])
			for more := []string{"", "a", "X: y\r\n", ""}[i%4]; err == nil; time.Sleep(100 * time.Millisecond) {
				_, err = io.WriteString(conn, more)
			}
		}()
	}
	harness.Until(t, 10*time.Second, func() error {
		start := time.Now()
		if open := descriptors(); open < before+clients/4 {
			return fmt.Errorf("%v descriptors are open, %v before", open, before)
		}
		if took := time.Since(start); took > harness.ResponseTimeout {
			t.Errorf("a scrape among slow clients took %s", took)
		}
		return nil
	})
	harness.Until(t, time.Minute, func() error { // those that do not read have some minutes
		if open := descriptors(); open > before+clients/4+10 {
			return fmt.Errorf("%v descriptors are open, %v before", open, before)
		}
		return nil
	})
}
