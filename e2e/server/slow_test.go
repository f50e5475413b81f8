package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

const (
	slowClients = 400
	// headerTime is how long a client has for the head of a request, and some.
	headerTime = 5*time.Second + 5*time.Second
	// answerTime is how long a client has to read its answer, and some.
	answerTime = 30*time.Second + 10*time.Second
	// scrapeTime is how long an ordinary scrape may take while slow clients are about.
	scrapeTime = 2 * time.Second
)

// elsewhere is the address of the slow clients, which is not that of the ordinary scraper.
var elsewhere = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}

// TestSlowRequests has hundreds of clients send requests that never end, and hold answers that they do not read, while
// an ordinary scraper is served as ever. The exporter gets rid of all of them by itself.
func TestSlowRequests(t *testing.T) {
	x := start(t)
	x.checkScraped(t)
	descriptors := x.descriptors(t)

	stop := make(chan struct{})
	var clients sync.WaitGroup
	var open sync.WaitGroup
	open.Add(slowClients)
	dialer := net.Dialer{LocalAddr: elsewhere, Control: narrow}
	for i := range slowClients {
		clients.Go(func() {
			conn, err := dialer.Dial("tcp", x.address)
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
	harness.Until(t, headerTime, func() error {
		if n := x.descriptors(t); n < descriptors+slowClients*9/10 {
			return fmt.Errorf("only %d descriptors are open", n)
		}
		return nil
	})
	harness.Until(t, headerTime, func() error { return x.checkElsewhere(http.StatusServiceUnavailable) })
	for range 10 {
		start := time.Now()
		x.checkScraped(t)
		if took := time.Since(start); took > scrapeTime {
			t.Errorf("a scrape among slow clients took %s", took)
		}
	}
	harness.Until(t, headerTime, func() error {
		if n := x.descriptors(t); n > descriptors+slowClients/4+10 {
			return fmt.Errorf("%d descriptors are still open, of those that sent heads without end", n)
		}
		return nil
	})
	if n := x.descriptors(t); n < descriptors+slowClients/4*9/10 {
		t.Errorf("only %d descriptors are left of those that do not read: they held nothing up", n)
	}
	harness.Until(t, answerTime, func() error {
		if n := x.descriptors(t); n > descriptors+5 {
			return fmt.Errorf("%d descriptors are still open, at first there were %d", n, descriptors)
		}
		return nil
	})
	close(stop)
	clients.Wait()
	x.checkScraped(t)
}

// checkElsewhere returns an error unless a scrape from where the slow clients are is answered with the status. It is 503
// while they hold as many scrapes as the exporter makes at once for one address.
func (x *target) checkElsewhere(status int) error {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: x.tls.Clone(), DialContext: (&net.Dialer{LocalAddr: elsewhere}).DialContext}
	response, err := (&http.Client{Timeout: scrapeTime, Transport: transport}).Get(x.url("/metrics"))
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != status {
		return fmt.Errorf("a scrape from %s is answered with %s, want %d", elsewhere.IP, response.Status, status)
	}
	return nil
}

// narrow makes a connection take small segments, and few of them, before it is made. The kernel at the other end then
// keeps no more than some 100 KiB of what nobody reads, and not megabytes as is usual between programs on one machine.
func narrow(_, _ string, conn syscall.RawConn) (err error) {
	const small = 536 // bytes, the least that any host must take
	controlErr := conn.Control(func(fd uintptr) {
		if err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, small); err == nil {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, small)
		}
	})
	if controlErr != nil {
		return controlErr
	}
	return err
}

// unread is so many requests that their answers fit in no buffer, be they refusals.
var unread = strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 1\r\n\r\n", 2000)

// beSlow is slow in one of four ways until it is stopped or cut off.
func beSlow(conn net.Conn, way int, stop <-chan struct{}) {
	begin, more := "", ""
	switch way % 4 {
	case 0: // says nothing at all
	case 1:
		begin, more = "GET /metrics HTTP/1.1\r\nHost: x\r\n", "X: y\r\n"
	case 2:
		begin, more = "GET /", "a"
	case 3: // asks, and reads no answer
		begin = unread
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
