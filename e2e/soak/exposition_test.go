package soak

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// exposition is the result of a scrape.
type exposition struct {
	when   span // from the request to the end of the response
	tokens map[string]*report
	used   map[string]float64 // of its budget, by account
	usage  usage
}

// report is the part of an exposition about one token.
type report struct {
	valid       float64 // NaN without a verdict
	verdictTime time.Time
	reason      string // of a denial
	result      string
	probe       span
	requests    float64 // counted
}

// usage is the part of an exposition about the process.
type usage struct {
	memory                  int64 // resident, bytes
	heap                    int64 // size at which garbage is collected next, bytes: follows what is in use
	goroutines, descriptors float64
}

func (p usage) String() string {
	return fmt.Sprintf("%d MiB, heap of %d MiB, %.0f goroutines, %.0f descriptors",
		p.memory>>20, p.heap>>20, p.goroutines, p.descriptors)
}

// near returns an error if the usage is more than at first.
func (p usage) near(first usage) error {
	const (
		more     = 10      // the runtime's, and connections of this test
		moreHeap = 5 << 20 // each token's last answer, and garbage of scrapes under way
	)
	if p.goroutines > first.goroutines+more || p.descriptors > first.descriptors+more || p.heap > first.heap+moreHeap {
		return fmt.Errorf("settled at %s; at first %s", p, first)
	}
	return nil
}

// parse reads the metrics of tokens and of the process from the text format.
func parse(text string) (*exposition, error) {
	e := &exposition{tokens: make(map[string]*report), used: make(map[string]float64)}
	durations := make(map[string]float64)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		series, number, _ := strings.Cut(strings.TrimSpace(line), "} ")
		name, labels, hasLabels := strings.Cut(series, "{")
		if !hasLabels {
			name, number, _ = strings.Cut(series, " ")
		}
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return nil, fmt.Errorf("the line %q", line)
		}
		e.usage.read(name, value)
		if name == "appfigures_account_budget_used_requests" {
			e.used[label(labels, "account")] = value
		}
		token := label(labels, "token")
		if token == "" {
			continue
		}
		r := e.tokens[token]
		if r == nil {
			r = &report{valid: math.NaN()}
			e.tokens[token] = r
		}
		switch name {
		case "appfigures_token_valid":
			r.valid = value
		case "appfigures_token_denied":
			if value == 1 {
				r.reason = label(labels, "reason")
			}
		case "appfigures_token_verdict_timestamp_seconds":
			r.verdictTime = timeOf(value)
		case "appfigures_probe_result":
			if value == 1 {
				r.result = label(labels, "result")
			}
		case "appfigures_probe_timestamp_seconds":
			r.probe.from = timeOf(value)
		case "appfigures_probe_duration_seconds":
			durations[token] = value
		case "appfigures_probes_total":
			r.requests += value
		}
	}
	for token, seconds := range durations {
		r := e.tokens[token]
		r.probe.to = r.probe.from.Add(time.Duration(seconds * float64(time.Second)))
	}
	return e, nil
}

func (p *usage) read(name string, value float64) {
	switch name {
	case "process_resident_memory_bytes":
		p.memory = int64(value)
	case "go_memstats_next_gc_bytes":
		p.heap = int64(value)
	case "go_goroutines":
		p.goroutines = value
	case "process_open_fds":
		p.descriptors = value
	}
}

// label returns the value of a label without escapes.
func label(labels, name string) string {
	_, rest, found := strings.Cut(","+labels, ","+name+`="`)
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

func timeOf(seconds float64) time.Time {
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9))
}
