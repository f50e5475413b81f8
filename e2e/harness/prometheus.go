package harness

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// How to install the release that the tests are run with.
const (
	installPrometheus = "go install github.com/prometheus/prometheus/cmd/prometheus@v0.316.0"
	installPromtool   = "go install github.com/prometheus/prometheus/cmd/promtool@v0.316.0"
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
	p := StartProcess(t, "Prometheus", exec.Command(Tool(t, "prometheus", installPrometheus),
		"--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+anyPort))
	address := "http://" + p.AwaitListening()
	Until(t, startTimeout, func() error {
		response, err := http.Get(address + "/-/ready")
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("Prometheus is not ready: %s", response.Status)
		}
		return nil
	})
	return &Prometheus{p, address + "/api/v1/"}
}

// PrometheusAt returns the Prometheus that listens at an address, whose process is not the test's.
func PrometheusAt(address string) *Prometheus {
	return &Prometheus{url: "http://" + address + "/api/v1/"}
}

// Promtool returns the path of promtool.
func Promtool(t testing.TB) string {
	t.Helper()
	return Tool(t, "promtool", installPromtool)
}

// Sample is one sample of an instant query's result, or the last of a series of a range query's.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Query evaluates an instant query now. A scalar is one sample without labels.
func (p *Prometheus) Query(expr string) ([]Sample, error) {
	return p.samples("query", url.Values{"query": {expr}})
}

// QueryRange evaluates a query at each step of the time before now.
func (p *Prometheus) QueryRange(expr string, before, step time.Duration) ([]Sample, error) {
	now := time.Now()
	return p.samples("query_range", url.Values{
		"query": {expr}, "start": {timestamp(now.Add(-before))}, "end": {timestamp(now)}, "step": {step.String()},
	})
}

func timestamp(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}

func (p *Prometheus) samples(path string, parameters url.Values) ([]Sample, error) {
	var data struct {
		ResultType string
		Result     json.RawMessage
	}
	if err := p.Get(path, parameters, &data); err != nil {
		return nil, err
	}
	if data.ResultType == "scalar" {
		var point [2]any
		if err := json.Unmarshal(data.Result, &point); err != nil {
			return nil, err
		}
		return []Sample{{Value: number(point)}}, nil
	}
	var series []struct {
		Metric map[string]string
		Value  [2]any
		Values [][2]any
	}
	if err := json.Unmarshal(data.Result, &series); err != nil {
		return nil, err
	}
	samples := make([]Sample, len(series))
	for i, one := range series {
		if n := len(one.Values); n > 0 {
			one.Value = one.Values[n-1]
		}
		samples[i] = Sample{one.Metric, number(one.Value)}
	}
	return samples, nil
}

// number returns the value of a point: a pair of its time and its value as text.
func number(point [2]any) float64 {
	text, _ := point[1].(string)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(fmt.Sprintf("Prometheus returned the point %v", point))
	}
	return value
}

// Get requests a path of the API and decodes the data of the response.
func (p *Prometheus) Get(path string, parameters url.Values, data any) error {
	response, err := http.Get(p.url + path + "?" + parameters.Encode())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	result := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&result); err != nil {
		return fmt.Errorf("requesting %s of Prometheus: %w", path, err)
	}
	if result.Status != "success" {
		return fmt.Errorf("requesting %s of Prometheus: %s", path, result.Error)
	}
	return nil
}

// By evaluates an instant query and returns its values by those of the labels, joined by slashes.
func (p *Prometheus) By(expr string, labels ...string) (map[string]float64, error) {
	samples, err := p.Query(expr)
	if err != nil {
		return nil, err
	}
	values := make(map[string]float64, len(samples))
	for _, sample := range samples {
		key := make([]string, len(labels))
		for i, label := range labels {
			key[i] = sample.Labels[label]
		}
		name := strings.Join(key, "/")
		if _, taken := values[name]; taken {
			return nil, fmt.Errorf("%s: more than one series has the labels %s", expr, name)
		}
		values[name] = sample.Value
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
	keys := map[string]bool{}
	for key := range got {
		keys[key] = true
	}
	for key := range want {
		keys[key] = true
	}
	var lines []string
	for key := range keys {
		g, inGot := got[key]
		w, inWant := want[key]
		if inGot != inWant || g != w {
			lines = append(lines, fmt.Sprintf("  %q: got %s, want %s", key, present(g, inGot), present(w, inWant)))
		}
	}
	slices.SortFunc(lines, cmp.Compare)
	return strings.Join(lines, "\n")
}

func present[V any](value V, there bool) string {
	if !there {
		return "none"
	}
	return fmt.Sprint(value)
}
