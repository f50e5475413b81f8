// Package grafana makes Grafana's alert rules from those of Prometheus. It is for developers; the exporter does not use
// it.
//
//go:generate go run ./generate
package grafana

import (
	"fmt"
	"io"
	"regexp"
	"strconv"

	"gopkg.in/yaml.v3"
)

// Group is a group of Prometheus rules, evaluated in order at one time.
type Group struct {
	Name     string `yaml:"name"`
	Interval string `yaml:"interval"` // as Prometheus writes durations
	Rules    []Rule `yaml:"rules"`
}

// Rule is a Prometheus alert rule. There are no recording rules.
type Rule struct {
	Alert         string            `yaml:"alert"`
	Expr          string            `yaml:"expr"`
	For           string            `yaml:"for"`
	KeepFiringFor string            `yaml:"keep_firing_for"`
	Labels        map[string]string `yaml:"labels"`
	Annotations   map[string]string `yaml:"annotations"`
}

// Parse reads a file of Prometheus rules. It refuses keys that Prometheus does not know.
func Parse(r io.Reader) ([]Group, error) {
	var file struct {
		Groups []Group `yaml:"groups"`
	}
	decoder := yaml.NewDecoder(r)
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("reading Prometheus rules: %w", err)
	}
	return file.Groups, nil
}

// Condition is an alert's expression, taken apart: it is true where Query Operator Threshold is.
type Condition struct {
	Query     string
	Operator  string // ">", "<" or "=="
	Threshold float64
}

var comparisonRE = regexp.MustCompile(`(?s)^(.*\S)\s+(>|<|==)\s+([0-9.]+)\s*$`)

// Condition takes the rule's expression apart. It wants one comparison with a number at its end, and before that
// nothing outside parentheses that binds less tightly.
func (r Rule) Condition() (Condition, error) {
	m := comparisonRE.FindStringSubmatch(r.Expr)
	if m == nil {
		return Condition{}, fmt.Errorf("%s: the expression must end in one comparison (> < ==) with a number", r.Alert)
	}
	threshold, err := strconv.ParseFloat(m[3], 64)
	if err != nil {
		return Condition{}, fmt.Errorf("%s: threshold: %w", r.Alert, err)
	}
	if loose := looseOperator(m[1]); loose != "" {
		return Condition{}, fmt.Errorf("%s: %q binds less tightly than the comparison at the end: "+
			"put parentheses around what is compared", r.Alert, loose)
	}
	return Condition{Query: m[1], Operator: m[2], Threshold: threshold}, nil
}

// tokenRE finds what can be an operator or a parenthesis, and strings and names, so as to skip what is in them.
var tokenRE = regexp.MustCompile(`"[^"]*"|'[^']*'|[a-zA-Z_:][a-zA-Z0-9_:]*|[()\[\]{}]|[=!<>]=?~?`)

// looseOperator returns an operator of the query that stands outside all parentheses and binds no tighter than a
// comparison, or nothing.
func looseOperator(query string) string {
	depth := 0
	for _, token := range tokenRE.FindAllString(query, -1) {
		switch token {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		case "and", "or", "unless", "==", "!=", ">", "<", ">=", "<=":
			if depth == 0 {
				return token
			}
		}
	}
	return ""
}
