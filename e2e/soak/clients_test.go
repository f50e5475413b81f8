package soak

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// scrapeTimeout is the scrapers'. The exporter responds half a second before.
const scrapeTimeout = 3 * time.Second

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}

// request makes a request whose response must have the status and come in time, unless the exporter was down: then the
// response is empty.
func (s *soak) request(ctx context.Context, method, path string, status int) string {
	// The end of ctx does not cancel the request: that is for hangUp.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*scrapeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.address+path, nil)
	if err != nil {
		s.t.Error(err)
		return ""
	}
	request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", fmt.Sprint(scrapeTimeout.Seconds()))
	start := time.Now()
	text, got, err := exchange(request)
	took := time.Since(start)
	switch {
	case err != nil && s.world.down.overlap(since(start)):
		return ""
	case err != nil:
		s.tally.fault("%s %s after %s: %v", method, path, took, err)
	case got != status:
		s.tally.fault("%s %s: status %d, want %d: %.200s", method, path, got, status, text)
	case took > s.longest:
		s.tally.fault("%s %s took %s, longer than the %s that it may", method, path, took, s.longest)
	default:
		s.tally.answered(path, took)
	}
	if s.world.leak(text) {
		s.tally.fault("%s %s: the response contains a secret", method, path)
	}
	return text
}

func exchange(request *http.Request) (text string, status int, err error) {
	response, err := client.Do(request)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), response.StatusCode, err
}

// scrape scrapes everything once and checks it.
func (s *soak) scrape(ctx context.Context) *exposition {
	return s.expose(ctx, "/metrics", s.world.complete)
}

// expose requests an exposition and checks it. complete returns what is missing.
func (s *soak) expose(ctx context.Context, path string, complete func(*exposition) error) *exposition {
	start := time.Now()
	text := s.request(ctx, http.MethodGet, path, http.StatusOK)
	responded := since(start)
	if text == "" { // down, or a fault
		return &exposition{}
	}
	e, err := parse(text)
	if err != nil {
		s.tally.fault("%s: the exposition cannot be read: %v", path, err)
		return &exposition{}
	}
	e.when = responded
	if err := complete(e); err != nil {
		s.tally.fault("%s: %v", path, err)
	}
	for name, report := range e.tokens {
		if err := s.world.check(name, report, e.when, s.tally); err != nil {
			s.tally.fault("%s: %v", path, err)
		}
	}
	return e
}

// scraper scrapes like a Prometheus.
func (s *soak) scraper(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, *interval) {
		if e := s.scrape(ctx); e.usage.memory > 0 {
			s.tally.sample(e.usage)
		}
	}
}

// prober scrapes tokens one by one like a Prometheus with service discovery.
func (s *soak) prober(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, *interval/10) {
		name := s.world.pick(random).name
		s.expose(ctx, "/probe?target="+name, only(name))
	}
}

// visitor requests pages.
func (s *soak) visitor(ctx context.Context, random *rand.Rand) {
	paths := []string{"/", "/sd", "/api/v1/status", "/-/healthy", "/-/ready"}
	for pause(ctx, random, *interval) {
		s.request(ctx, http.MethodGet, paths[random.IntN(len(paths))], http.StatusOK)
	}
}

// hangUp is a scraper that leaves before the response.
func (s *soak) hangUp(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, *interval) {
		impatient, cancel := context.WithTimeout(ctx, time.Duration(random.Int64N(int64(300*time.Millisecond))))
		request, err := http.NewRequestWithContext(impatient, http.MethodGet, "http://"+s.address+"/metrics", nil)
		if err != nil {
			s.t.Error(err)
		} else if _, _, err := exchange(request); err != nil {
			s.tally.hungUp()
		}
		cancel()
	}
}

// slowReader reads its response in small pieces, and not to the end.
func (s *soak) slowReader(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, *interval) {
		s.dawdle(ctx, random, "GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n", func(conn net.Conn) error {
			_, err := io.ReadFull(conn, make([]byte, 512))
			return err
		})
	}
}

// slowLoris never ends its request.
func (s *soak) slowLoris(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, *interval) {
		s.dawdle(ctx, random, "GET /metrics HTTP/1.1\r\n", func(conn net.Conn) error {
			_, err := io.WriteString(conn, "X-More: more\r\n")
			return err
		})
	}
}

// dawdle opens a connection and uses it now and then, for some seconds or until it fails.
func (s *soak) dawdle(ctx context.Context, random *rand.Rand, begin string, next func(net.Conn) error) {
	start := time.Now()
	conn, err := net.Dial("tcp", s.address)
	if err != nil && s.world.down.overlap(since(start)) {
		return
	}
	if err != nil {
		s.tally.fault("connecting: %v", err)
		return
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	_, err = io.WriteString(conn, begin)
	for range 30 {
		if err != nil || !pause(ctx, random, 100*time.Millisecond) {
			return
		}
		_ = conn.SetDeadline(time.Now().Add(scrapeTimeout))
		err = next(conn)
	}
}

// reloadBySignal reloads configurations in which some tokens come and go.
func (s *soak) reloadBySignal(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, 5*time.Second) {
		s.world.configLock.Lock()
		s.world.writeConfig(passers(random))
		s.process.Lock()
		s.exporter.Signal(syscall.SIGHUP)
		s.process.Unlock()
		s.world.configLock.Unlock()
	}
}

// reloadByRequest does the same by POST, half of the times with an invalid configuration.
func (s *soak) reloadByRequest(ctx context.Context, random *rand.Rand) {
	for pause(ctx, random, 5*time.Second) {
		status := http.StatusOK
		extra := passers(random)
		if random.IntN(2) == 0 {
			const bad = secretPrefix + "bad"
			status, extra = http.StatusInternalServerError, "  - {name: "+bad+", token: "+bad+", token_file: "+bad+"}\n"
		}
		s.world.configLock.Lock()
		s.world.writeConfig(extra)
		s.request(ctx, http.MethodPost, "/-/reload", status)
		s.world.writeConfig("")
		s.world.configLock.Unlock()
	}
}

// passer begins the names of tokens that come and go.
const passer = "passer-"

// passers returns some tokens that come and go.
func passers(random *rand.Rand) string {
	var extra strings.Builder
	for i := range random.IntN(20) {
		fmt.Fprintf(&extra, "  - {name: %s%d, account: passers, token: passer-%d-%d}\n", passer, i, i, random.IntN(3))
	}
	return extra.String()
}
