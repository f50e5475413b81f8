package web

import (
	"encoding/json"
	"net/http"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// discovery serves Prometheus' HTTP service discovery: each token is a target, named in __address__, which the
// scrape configuration relabels to the parameter of /probe.
type discovery struct{ scraper Scraper }

// targetGroup is one element of the list that Prometheus' http_sd_configs reads.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

func (d discovery) serve(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(targetGroups(d.scraper.Snapshot()))
	if err != nil { // impossible: strings always marshal
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}

// targetGroups returns a group for each token, in the order of the configuration. A group's meta labels are the
// token's account and its configured labels.
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
