// Package prometheus runs a real Prometheus and asks it questions.
package prometheus

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/process"
)

// The programs of the release that the suites are run with, and how to get them.
const (
	installPrometheus = "go install github.com/prometheus/prometheus/cmd/prometheus@v0.316.0"
	installPromtool   = "go install github.com/prometheus/prometheus/cmd/promtool@v0.316.0"
)

// startPatience is how long a Prometheus may take until it is ready.
const startPatience = 30 * time.Second

// Server is a running Prometheus.
type Server struct {
	*process.Process
	url string // of its API, with a slash at its end
}

// Start runs a Prometheus with the configuration and waits until it is ready.
func Start(t *testing.T, config string) *Server {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := process.Start(t, "Prometheus", exec.Command(process.Tool(t, "prometheus", installPrometheus),
		"--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0"))
	address := "http://" + p.Address()
	process.Until(t, startPatience, func() error {
		response, err := http.Get(address + "/-/ready")
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("answer of Prometheus: %s", response.Status)
		}
		return nil
	})
	return &Server{p, address + "/api/v1/"}
}

// Promtool returns the path of promtool.
func Promtool(t *testing.T) string {
	t.Helper()
	return process.Tool(t, "promtool", installPromtool)
}

// Sample is one sample of an instant query's result, or the last of a series of a range query's.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Query asks the instant query, as of now. A scalar is one sample without labels.
func (s *Server) Query(expr string) ([]Sample, error) {
	return s.samples("query", url.Values{"query": {expr}})
}

// QueryRange asks the query for each step in the time before now.
func (s *Server) QueryRange(expr string, before, step time.Duration) ([]Sample, error) {
	now := time.Now()
	return s.samples("query_range", url.Values{
		"query": {expr}, "start": {timestamp(now.Add(-before))}, "end": {timestamp(now)}, "step": {step.String()},
	})
}

func timestamp(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}

func (s *Server) samples(path string, parameters url.Values) ([]Sample, error) {
	var data struct {
		ResultType string
		Result     json.RawMessage
	}
	if err := s.Get(path, parameters, &data); err != nil {
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

// number returns the value of a point, which is its time and its value as a text; NaN if it is none.
func number(point [2]any) float64 {
	text, _ := point[1].(string)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(fmt.Sprintf("Prometheus answered with the point %v", point))
	}
	return value
}

// Get asks the API at path and decodes the data of the answer.
func (s *Server) Get(path string, parameters url.Values, data any) error {
	response, err := http.Get(s.url + path + "?" + parameters.Encode())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("asking Prometheus for %s: %w", path, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("asking Prometheus for %s: %s", path, answer.Error)
	}
	return nil
}

// By asks the instant query and returns its values by those of the labels, joined by slashes.
func (s *Server) By(expr string, labels ...string) (map[string]float64, error) {
	samples, err := s.Query(expr)
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
			return nil, fmt.Errorf("%s: more than one series is %s", expr, name)
		}
		values[name] = sample.Value
	}
	return values, nil
}

// Await waits until the instant query has just these values, by those of the labels joined by slashes.
func (s *Server) Await(t *testing.T, patience time.Duration, want map[string]float64, expr string, labels ...string) {
	t.Helper()
	process.Until(t, patience, func() error {
		got, err := s.By(expr, labels...)
		if err == nil && !maps.Equal(got, want) {
			err = fmt.Errorf("%s is not as it should be:\n%s", expr, Difference(got, want))
		}
		return err
	})
}

// Difference lists, a line each, where two maps part.
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
