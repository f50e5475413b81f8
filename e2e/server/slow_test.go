package server

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/process"
)

const (
	slowClients = 400
	// headerTime is how long a client has for the head of a request, and some.
	headerTime = 5*time.Second + 5*time.Second
	// scrapeTime is how long an ordinary scrape may take while slow clients are about.
	scrapeTime = 2 * time.Second
)

// TestSlowRequests has hundreds of clients send requests that never end, and hold answers that they do not read, while
// an ordinary scraper is served as ever. In the end the exporter has got rid of all of them.
func TestSlowRequests(t *testing.T) {
	x := start(t)
	x.checkScraped(t)
	descriptors := x.descriptors(t)

	stop := make(chan struct{})
	var clients sync.WaitGroup
	var open sync.WaitGroup
	open.Add(slowClients)
	for i := range slowClients {
		clients.Go(func() {
			conn, err := net.Dial("tcp", x.address)
			open.Done()
			if err != nil {
				t.Errorf("connecting: %v", err)
				return
			}
			defer conn.Close()
			beSlow(conn, i, stop)
		})
	}
	open.Wait()
	process.Until(t, headerTime, func() error {
		if n := x.descriptors(t); n < descriptors+slowClients*9/10 {
			return fmt.Errorf("only %d descriptors are open", n)
		}
		return nil
	})
	for range 10 {
		start := time.Now()
		x.checkScraped(t)
		if took := time.Since(start); took > scrapeTime {
			t.Errorf("a scrape among slow clients took %s", took)
		}
	}
	process.Until(t, headerTime, func() error {
		if n := x.descriptors(t); n > descriptors+slowClients/4+10 {
			return fmt.Errorf("%d descriptors are still open, of those that sent heads without end", n)
		}
		return nil
	})
	close(stop)
	clients.Wait()
	process.Until(t, headerTime, func() error {
		if n := x.descriptors(t); n > descriptors+5 {
			return fmt.Errorf("%d descriptors are still open, at first there were %d", n, descriptors)
		}
		return nil
	})
	x.checkScraped(t)
}

// beSlow is slow in one of four ways until it is stopped or cut off.
func beSlow(conn net.Conn, way int, stop <-chan struct{}) {
	begin, more := "", ""
	switch way % 4 {
	case 0: // says nothing at all
	case 1:
		begin, more = "GET /metrics HTTP/1.1\r\nHost: x\r\n", "X: y\r\n"
	case 2:
		begin, more = "GET /", "a"
	case 3: // is answered and stays
		begin = "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	_, err := io.WriteString(conn, begin)
	for err == nil {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		_, err = io.WriteString(conn, more)
	}
}

// descriptors counts what the exporter has open.
func (x *target) descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", x.pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// resident returns the memory that the exporter takes, in KiB.
func (x *target) resident(t *testing.T) (kibibytes int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", x.pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kibibytes); err != nil {
		t.Fatal(err)
	}
	return kibibytes
}
