package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

const (
	slowClients = 400
	// headerTime is longer than a client has for the head of a request.
	headerTime = 5*time.Second + 5*time.Second
	// responseTime is longer than a client has to read its response.
	responseTime = 30*time.Second + 10*time.Second
	// scrapeTime is how long an ordinary scrape may take beside slow clients.
	scrapeTime = 2 * time.Second
)

// elsewhere is the address of the slow clients, which is not that of the ordinary scraper.
var elsewhere = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}

// TestSlowRequests connects hundreds of clients that never end their requests or do not read their responses, while an
// ordinary scraper is served as usual. The exporter closes all of the connections by itself.
func TestSlowRequests(t *testing.T) {
	x := start(t)
	x.checkScraped(t)
	descriptors := x.Descriptors()

	stop := make(chan struct{})
	var clients sync.WaitGroup
	var open sync.WaitGroup
	open.Add(slowClients)
	dialer := net.Dialer{LocalAddr: elsewhere, Control: narrow}
	for i := range slowClients {
		clients.Go(func() {
			conn, err := dialer.Dial("tcp", x.Address)
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
		if n := x.Descriptors(); n < descriptors+slowClients*9/10 {
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
		if n := x.Descriptors(); n > descriptors+slowClients/4+10 {
			return fmt.Errorf("%d descriptors are open; clients that send endless heads have some of them", n)
		}
		return nil
	})
	if n := x.Descriptors(); n < descriptors+slowClients/4*9/10 {
		t.Errorf("only %d descriptors are open: clients that do not read were no load", n)
	}
	harness.Until(t, responseTime, func() error {
		if n := x.Descriptors(); n > descriptors+5 {
			return fmt.Errorf("%d descriptors are open, %d before", n, descriptors)
		}
		return nil
	})
	close(stop)
	clients.Wait()
	x.checkScraped(t)
}

// checkElsewhere returns an error unless a scrape from the slow clients' address gets the status. It is 503 while they
// have as many scrapes open as the exporter permits one address.
func (x *target) checkElsewhere(status int) error {
	transport := &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: x.TLS.Clone(),
		DialContext: (&net.Dialer{LocalAddr: elsewhere}).DialContext,
	}
	response, err := (&http.Client{Timeout: scrapeTime, Transport: transport}).Get(x.URL("/metrics"))
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != status {
		return fmt.Errorf("a scrape from %s gets %s, want %d", elsewhere.IP, response.Status, status)
	}
	return nil
}

// narrow limits a connection to few and small segments before it is opened. The kernel then buffers about 100 KiB of
// what nobody reads, not megabytes as is usual on one machine.
func narrow(_, _ string, conn syscall.RawConn) (err error) {
	const small = 536 // bytes, the least that any host must accept
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

// unread is so many requests that their responses fit in no buffer, even if all are 503.
var unread = strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 1\r\n\r\n", 2000)

// beSlow is slow in one of four ways until it is stopped or the connection is closed.
func beSlow(conn net.Conn, way int, stop <-chan struct{}) {
	begin, more := "", ""
	switch way % 4 {
	case 0: // sends nothing
	case 1:
		begin, more = "GET /metrics HTTP/1.1\r\nHost: x\r\n", "X: y\r\n"
	case 2:
		begin, more = "GET /", "a"
	case 3: // does not read
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
