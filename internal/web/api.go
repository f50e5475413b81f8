package web

import (
	"encoding/json"
	"net/http"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// serveStatus serves the state of all tokens and accounts to programs, as [status.Report].
func serveStatus(scraper Scraper) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, status.NewReport(scraper.Snapshot(), status.DefaultThresholds))
	}
}

// targetGroup is one element of the list that Prometheus' http_sd_configs reads.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// serveDiscovery serves Prometheus' HTTP service discovery: each token is a target. Its name is the __address__, which
// the scrape configuration relabels to the parameter of /probe. Meta labels are its account and configured labels.
func serveDiscovery(scraper Scraper) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		groups := []targetGroup{} // not null
		for _, token := range scraper.Snapshot().Tokens {
			labels := map[string]string{"__meta_appfigures_account": token.Account}
			for _, label := range token.Labels {
				labels["__meta_appfigures_label_"+label.Name] = label.Value
			}
			groups = append(groups, targetGroup{Targets: []string{token.Name}, Labels: labels})
		}
		writeJSON(w, groups)
	}
}

// writeJSON responds with a value that can be marshaled, on one line.
func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // fails if the client is gone
}
