package web

import (
	"encoding/json"
	"net/http"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
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
// the scrape configuration relabels to the parameter of /probe.
func serveDiscovery(scraper Scraper) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, targetGroups(scraper.Snapshot())) }
}

// targetGroups returns one group per token, in the order of the configuration. Its meta labels are the token's account
// and configured labels.
func targetGroups(snapshot monitor.Snapshot) []targetGroup {
	groups := make([]targetGroup, len(snapshot.Tokens))
	for i, token := range snapshot.Tokens {
		labels := map[string]string{"__meta_appfigures_account": token.Account}
		for _, label := range token.Labels {
			labels["__meta_appfigures_label_"+label.Name] = label.Value
		}
		groups[i] = targetGroup{Targets: []string{token.Name}, Labels: labels}
	}
	return groups
}

// writeJSON responds with a value that can be marshaled, on one line.
func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // fails if the client is gone
}
