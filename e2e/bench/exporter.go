package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// exporter is the exporter under test.
type exporter struct {
	*process
	load
	rounds int // of probes so far
}

// startExporter starts the exporter over the first tokens of the API. Nothing but min_interval paces its probes.
func (b *bench) startExporter(api simulated, l load) (*exporter, error) {
	var config strings.Builder
	fmt.Fprintf(&config, "api_url: %s\ntls_config: {ca_file: %s}\nmax_concurrency: %d\npacing: {quota_share: 1, min_interval: %s}\ntokens:\n",
		api.address, api.certificate, l.atOnce, l.minInterval)
	for i := range l.tokens {
		fmt.Fprintf(&config, "  - {name: token-%05d, token: %s}\n", i, secret(i))
	}
	file := filepath.Join(b.dir, "config.yml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		return nil, err
	}
	p, err := start(b.ctx, b.exporter, "--config.file="+file, "--web.listen-address=127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &exporter{process: p, load: l}, nil
}

// scrape scrapes once and returns how long that took. It is an error if the scrape did not do what is to be measured.
func (e *exporter) scrape() (time.Duration, error) {
	metrics, taken, err := scrape(http.DefaultClient, "http://"+e.address+"/metrics")
	if err != nil {
		return 0, err
	}
	if e.minInterval == 0 || e.rounds == 0 {
		e.rounds++
	}
	probed := regexp.MustCompile(fmt.Sprintf(`(?m)^appfigures_probes_total\{result="valid",token="[^"]*"\} %d(\.0)?$`, e.rounds))
	if n := len(probed.FindAllStringIndex(metrics, -1)); n != e.tokens {
		return 0, fmt.Errorf("%d of %d tokens were found valid %d times", n, e.tokens, e.rounds)
	}
	return taken, nil
}

// prometheus is who scrapes: the fields are those that Prometheus 3 sends.
var prometheus = http.Header{
	"Accept": {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
		"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"},
	"Accept-Encoding":                     {"gzip"},
	"User-Agent":                          {"Prometheus/3.5.0"},
	"X-Prometheus-Scrape-Timeout-Seconds": {"10"},
}

// scrape asks for metrics as Prometheus does. It returns their text, and how long it took until they had arrived.
func scrape(client *http.Client, url string) (string, time.Duration, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", 0, err
	}
	request.Header = prometheus
	begin := time.Now()
	compressed, err := read(client.Do(request))
	taken := time.Since(begin)
	if err != nil {
		return "", 0, err
	}
	metrics, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return "", 0, err
	}
	text, err := io.ReadAll(metrics)
	return string(text), taken, err
}
