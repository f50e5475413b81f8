package harness

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Prometheus is a running Prometheus.
type Prometheus struct {
	*Process
	url string // of its API, with a slash at its end
}

// StartPrometheus starts a Prometheus with the configuration and waits until it is ready.
func StartPrometheus(t testing.TB, config string) *Prometheus {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	Write(t, file, config)
	binary := Tool(t, "prometheus", "go install github.com/prometheus/prometheus/cmd/prometheus@v0.316.0")
	p := StartProcess(t, "Prometheus", exec.Command(binary,
		"--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+anyPort))
	address := p.AwaitListening()
	Until(t, startTimeout, func() error {
		_, err := Get("http://" + address + "/-/ready")
		return err
	})
	return &Prometheus{p, "http://" + address + "/api/v1/"}
}

// PrometheusAt returns the Prometheus that listens at an address, whose process is not the test's.
func PrometheusAt(address string) *Prometheus {
	return &Prometheus{url: "http://" + address + "/api/v1/"}
}

// Promtool returns the path of promtool.
func Promtool(t testing.TB) string {
	t.Helper()
	return Tool(t, "promtool", "go install github.com/prometheus/prometheus/cmd/promtool@v0.316.0")
}

// Get requests a path of the API and decodes the data of the response.
func (p *Prometheus) Get(path string, data any) error {
	body, err := Get(p.url + path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	result := struct{ Data any }{data}
	return json.Unmarshal([]byte(body), &result)
}

// By evaluates an instant query and returns its values by those of the labels, joined by slashes.
func (p *Prometheus) By(expr string, labels ...string) (map[string]float64, error) {
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]json.Number // time and value
		}
	}
	if err := p.Get("query?"+url.Values{"query": {expr}}.Encode(), &data); err != nil {
		return nil, err
	}
	values := make(map[string]float64, len(data.Result))
	for _, series := range data.Result {
		key := make([]string, len(labels))
		for i, label := range labels {
			key[i] = series.Metric[label]
		}
		name := strings.Join(key, "/")
		if _, taken := values[name]; taken {
			return nil, fmt.Errorf("%s: more than one series has the labels %s", expr, name)
		}
		value, err := series.Value[1].Float64()
		if err != nil {
			return nil, err
		}
		values[name] = value
	}
	return values, nil
}

// Await waits until an instant query has exactly these values, by those of the labels joined by slashes.
func (p *Prometheus) Await(
	t testing.TB, timeout time.Duration, want map[string]float64, expr string, labels ...string,
) {
	t.Helper()
	Until(t, timeout, func() error {
		got, err := p.By(expr, labels...)
		if err == nil && !maps.Equal(got, want) {
			err = fmt.Errorf("%s:\n%s", expr, Difference(got, want))
		}
		return err
	})
}

// Difference lists where two maps differ, one line per key.
func Difference[V comparable](got, want map[string]V) string {
	var lines strings.Builder
	for key, g := range got {
		if w, wanted := want[key]; !wanted || w != g {
			fmt.Fprintf(&lines, "  got %q: %v\n", key, g)
		}
	}
	for key, w := range want {
		if g, found := got[key]; !found || w != g {
			fmt.Fprintf(&lines, "  want %q: %v\n", key, w)
		}
	}
	return lines.String()
}

// Get returns the body of a response, whose status must be 200.
func Get(url string) (string, error) {
	response, err := (&http.Client{Timeout: ResponseTimeout}).Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return string(body), err
}
