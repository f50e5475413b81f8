package web

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

const (
	// maxScrapes is how many scrapes are served at once. Each costs about 20 KiB while it waits for the API, and memory
	// per token while it is encoded.
	maxScrapes = 256
	// maxScrape bounds a scrape. Prometheus forgets a sample after five minutes, so no useful scrape takes longer.
	maxScrape = 5 * time.Minute
)

// metrics serves the metrics of all tokens and of the process at /metrics, and those of one token at /probe.
type metrics struct {
	Options
	scrapes chan struct{} // holds one element per scrape that is being served
}

// bounded refuses a request with status 503 while maxScrapes others are being served.
func (m metrics) bounded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case m.scrapes <- struct{}{}:
			defer func() { <-m.scrapes }()
			next(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "Too many scrapes at once. Try again in a second.", http.StatusServiceUnavailable)
		}
	}
}

func (m metrics) serveMetrics(w http.ResponseWriter, r *http.Request) {
	var families []*dto.MetricFamily
	if m.TokensOnMetrics {
		snapshot := m.scrape(r)
		series := cmp.Or(spare.Swap(nil), new(collector.Series))
		defer spare.Store(series)
		families = series.Families(snapshot)
	}
	m.write(w, r, func() ([]*dto.MetricFamily, error) {
		ofProcess, err := m.Registry.Gather()
		all := slices.Concat(families, collector.ExporterFamilies(m.Exporter()), ofProcess)
		slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
		return all, err
	})
}

func (m metrics) serveProbe(w http.ResponseWriter, r *http.Request) {
	// No response quotes the target: it may be a secret that was put in the wrong place.
	query, err := url.ParseQuery(r.URL.RawQuery)
	targets := query["target"]
	if err != nil || len(targets) != 1 || targets[0] == "" {
		http.Error(w, "Exactly one target is required: /probe?target=NAME with the name of a token. /sd lists the "+
			"names.", http.StatusBadRequest)
		return
	}
	snapshot := m.Scraper.Snapshot(targets[0])
	if len(snapshot.Tokens) > 0 {
		snapshot = m.scrape(r, targets[0])
	}
	if len(snapshot.Tokens) == 0 { // never configured, or removed by a reload since
		http.Error(w, "No token of that name is configured. The target is a token's name, never a URL or the token "+
			"itself; /sd lists the names.", http.StatusNotFound)
		return
	}
	m.write(w, r, func() ([]*dto.MetricFamily, error) { return collector.Families(snapshot), nil })
}

// scrape probes the tokens whose turn it is, within the time that the client waits. A HEAD request probes nothing.
func (m metrics) scrape(r *http.Request, names ...string) monitor.Snapshot {
	if r.Method != http.MethodGet {
		return m.Scraper.Snapshot(names...)
	}
	timeout := scrapeTimeout(r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), m.TimeoutOffset)
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	return m.Scraper.Scrape(ctx, names...)
}

// spare is the memory that the last scrape has left for the series of the next one, which takes it or makes its own.
var spare atomic.Pointer[collector.Series]

// newCompressor returns what compresses nearly as well as promhttp, which has no choice but level 6, in a fifth of its
// CPU time. But it understands no more of a request than what Prometheus asks for, gzip alone.
func newCompressor() *middleware.Compressor {
	c := middleware.NewCompressor(gzip.BestSpeed, "text/*", "application/*")
	c.SetEncoder("gzip", func(w io.Writer, level int) io.Writer {
		z, _ := gzip.NewWriterLevel(w, level) // fails for unknown levels only
		return z
	})
	return c
}

var compressor = newCompressor()

// write responds with what gather returns, in the format and compression that the client accepts.
func (m metrics) write(w http.ResponseWriter, r *http.Request, gather prometheus.GathererFunc) {
	fast := r.Header.Get("Accept-Encoding") == "gzip"
	var handler http.Handler = promhttp.HandlerFor(gather, promhttp.HandlerOpts{
		EnableOpenMetrics:  true, // without series for the times at which counters began
		DisableCompression: fast,
		ErrorHandling:      promhttp.ContinueOnError,
		ErrorLog:           slog.NewLogLogger(m.Logger.Handler(), slog.LevelError),
		Registry:           m.Registry,
	})
	if fast {
		handler = compressor.Handler(handler)
	}
	handler.ServeHTTP(w, r)
}

// scrapeTimeout returns how long a scrape may take, at most maxScrape: the header's seconds less the offset, which is
// left for the response to reach Prometheus, or half of them if the offset would leave nothing. A header that is not a
// positive number counts as none.
func scrapeTimeout(header string, offset time.Duration) time.Duration {
	seconds, err := strconv.ParseFloat(header, 64)
	if err != nil || !(seconds > 0) { // NaN is not
		return maxScrape
	}
	limit := time.Duration(min(seconds, maxScrape.Seconds()) * float64(time.Second))
	if timeout := limit - max(offset, 0); timeout > 0 {
		return timeout
	}
	return limit / 2
}
