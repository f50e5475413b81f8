package web

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// exposition serves metrics: a scrape of all tokens with the process's own metrics, or a scrape of one token.
type exposition struct {
	Options
	// encoding has a place for each answer that may be put into text at once. A snapshot's metrics are many times as
	// large as the compressed text, and no more of them than there are processors makes progress anyway.
	encoding chan struct{}
}

func newExposition(options Options) *exposition {
	return &exposition{options, make(chan struct{}, runtime.GOMAXPROCS(0))}
}

func (e *exposition) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if e.NoTokens {
		e.write(w, r, e.Registry)
		return
	}
	tokens := e.Exposition(e.scrape(w, r))
	e.write(w, r, merged{tokens, e.Registry})
}

func (e *exposition) serveProbe(w http.ResponseWriter, r *http.Request) {
	// No answer quotes the target: it may be a secret that was put in the wrong place.
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		http.Error(w, "The query cannot be read. Ask for /probe?target=NAME with the name of a token.", http.StatusBadRequest)
		return
	}
	targets := query["target"]
	if len(targets) != 1 || targets[0] == "" {
		http.Error(w, "Ask for one target: /probe?target=NAME with the name of a token. /sd lists the names.", http.StatusBadRequest)
		return
	}
	if !e.Scraper.Has(targets[0]) {
		writeUnknownTarget(w)
		return
	}
	snapshot := e.scrape(w, r, targets[0])
	if len(snapshot.Tokens) == 0 { // a reload has just removed it
		writeUnknownTarget(w)
		return
	}
	e.write(w, r, e.Exposition(snapshot))
}

func writeUnknownTarget(w http.ResponseWriter) {
	http.Error(w, "No token of that name is configured. The target is a token's name, never a URL or the token itself; /sd lists the names.", http.StatusNotFound)
}

// scrape probes the tokens within the time that the client will wait. HEAD only asks how an answer would look, so it
// probes nothing.
func (e *exposition) scrape(w http.ResponseWriter, r *http.Request, names ...string) monitor.Snapshot {
	if r.Method != http.MethodGet {
		return e.Scraper.Snapshot(names...)
	}
	deadline := time.Now().Add(scrapeTimeout(r.Header.Get(timeoutHeader), e.TimeoutOffset, e.DefaultTimeout()))
	extendDeadlines(w, deadline)
	return e.Scraper.Scrape(r.Context(), deadline, names...)
}

// write answers with the metrics in the format and the compression that the client asks for.
func (e *exposition) write(w http.ResponseWriter, r *http.Request, gatherer prometheus.Gatherer) {
	select {
	case e.encoding <- struct{}{}:
	case <-r.Context().Done():
		return // nobody is left to answer
	}
	answer := newAnswer(w.Header(), r)
	func() {
		defer func() { <-e.encoding }()
		promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{
			EnableOpenMetrics:  true,
			DisableCompression: true, // answer does it, which halves the cost of all of this
			ErrorHandling:      promhttp.ContinueOnError,
			ErrorLog:           slog.NewLogLogger(e.Logger.Handler(), slog.LevelError),
			Registry:           e.Registry,
		}).ServeHTTP(answer, r)
	}()
	answer.send(w)
}

// merged gathers from all its members. It does what [prometheus.Gatherers] does without checking each metric again,
// because no two members share a name.
type merged []prometheus.Gatherer

func (m merged) Gather() ([]*dto.MetricFamily, error) {
	var all []*dto.MetricFamily
	var errs prometheus.MultiError
	for _, gatherer := range m {
		families, err := gatherer.Gather()
		errs.Append(err)
		all = append(all, families...)
	}
	slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all, errs.MaybeUnwrap()
}
