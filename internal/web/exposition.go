package web

import (
	"cmp"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// exposition serves metrics: /metrics those of all tokens and of the process, /probe those of one token.
type exposition struct {
	Options
	// encoding bounds how many responses are encoded at once. The metrics of a snapshot are many times as large as their
	// compressed text, and only as many as there are processors make progress.
	encoding chan struct{}
}

func newExposition(options Options) *exposition {
	return &exposition{options, make(chan struct{}, runtime.GOMAXPROCS(0))}
}

func (e *exposition) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if !e.TokensOnMetrics {
		e.write(w, r, nil, e.Exporter, e.Registry)
		return
	}
	e.write(w, r, e.Exposition(e.scrape(w, r)), e.Exporter, e.Registry)
}

func (e *exposition) serveProbe(w http.ResponseWriter, r *http.Request) {
	// No response quotes the target: it may be a secret that was put in the wrong place.
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		http.Error(w, "Malformed query. Use /probe?target=NAME with the name of a token.", http.StatusBadRequest)
		return
	}
	targets := query["target"]
	if len(targets) != 1 || targets[0] == "" {
		http.Error(w, "Exactly one target is required: /probe?target=NAME with the name of a token. /sd lists the names.",
			http.StatusBadRequest)
		return
	}
	if !e.Scraper.Has(targets[0]) {
		writeUnknownTarget(w)
		return
	}
	snapshot := e.scrape(w, r, targets[0])
	if len(snapshot.Tokens) == 0 { // removed by a reload since Has
		writeUnknownTarget(w)
		return
	}
	e.write(w, r, e.Exposition(snapshot))
}

func writeUnknownTarget(w http.ResponseWriter) {
	http.Error(w, "No token of that name is configured. The target is a token's name, never a URL or the token itself; "+
		"/sd lists the names.", http.StatusNotFound)
}

// scrape probes the tokens within the time that the client waits. A HEAD request probes nothing.
func (e *exposition) scrape(w http.ResponseWriter, r *http.Request, names ...string) monitor.Snapshot {
	if r.Method != http.MethodGet {
		return e.Scraper.Snapshot(names...)
	}
	var deadline time.Time // zero: as long as the probes may take
	now := time.Now()
	timeout, ok := scrapeTimeout(r.Header.Get(timeoutHeader), e.TimeoutOffset)
	if ok {
		deadline = now.Add(timeout)
	} else {
		timeout = maxScrape
	}
	extendDeadlines(w, now.Add(timeout))
	snapshot := e.Scraper.Scrape(r.Context(), deadline, names...)
	extendDeadlines(w, time.Now()) // a client that does not read has no more time than with other requests
	return snapshot
}

// write responds with the metrics of tokens, if not nil, and those that others gather, in the format and compression that
// the client accepts. All are sorted by name.
func (e *exposition) write(
	w http.ResponseWriter, r *http.Request, tokens iter.Seq[*dto.MetricFamily], others ...prometheus.Gatherer,
) {
	select {
	case e.encoding <- struct{}{}:
	case <-r.Context().Done():
		return // the client is gone
	}
	response := newBufferedResponse(w.Header(), r)
	func() {
		defer func() { <-e.encoding }()
		var rest []*dto.MetricFamily
		var err error
		end := promhttp.HandlerFor( // first: it registers a metric
			prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return rest, err }),
			promhttp.HandlerOpts{
				EnableOpenMetrics:                   true,
				EnableOpenMetricsTextCreatedSamples: true,
				DisableCompression:                  true, // bufferedResponse compresses at half the cost
				ErrorHandling:                       promhttp.ContinueOnError,
				ErrorLog:                            slog.NewLogLogger(e.Logger.Handler(), slog.LevelError),
				Registry:                            e.Registry,
			})
		rest, err = gather(others)
		if tokens != nil {
			// The format and the filter are those of end. Writing to a buffer never fails.
			format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
			encoder := expfmt.NewEncoder(response, format, expfmt.WithCreatedLines())
			wanted := r.URL.Query()["name[]"]
			encode := func(family *dto.MetricFamily) {
				if len(wanted) == 0 || slices.Contains(wanted, family.GetName()) {
					_ = encoder.Encode(family)
				}
			}
			for family := range tokens {
				for len(rest) > 0 && rest[0].GetName() < family.GetName() {
					encode(rest[0])
					rest = rest[1:]
				}
				encode(family)
			}
		}
		end.ServeHTTP(response, r)
	}()
	response.send(w)
}

// gather gathers from all, sorted by name. It does what [prometheus.Gatherers] does without checking each metric again:
// no two gatherers share a name.
func gather(gatherers []prometheus.Gatherer) ([]*dto.MetricFamily, error) {
	var all []*dto.MetricFamily
	var errs prometheus.MultiError
	for _, gatherer := range gatherers {
		families, err := gatherer.Gather()
		errs.Append(err)
		all = append(all, families...)
	}
	slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all, errs.MaybeUnwrap()
}
