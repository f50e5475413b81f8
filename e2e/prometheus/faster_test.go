package prometheus

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// The test runs the shipped files with shorter durations: a minute takes a second, and an hour half a minute.
const (
	fasterMinutes = 60
	fasterHours   = 120
)

// faster returns a shorter duration, as Prometheus and Alertmanager write it.
func faster(t *testing.T, written string) string {
	t.Helper()
	factors := map[byte]time.Duration{'s': fasterMinutes, 'm': fasterMinutes, 'h': fasterHours}
	d, err := time.ParseDuration(written)
	factor := factors[written[len(written)-1]]
	if err != nil || factor == 0 {
		t.Fatalf("duration %q: %v", written, err)
	}
	return fmt.Sprintf("%dms", (d / factor).Milliseconds())
}

// The durations that get shorter: after some keys of the YAML, and in ranges and subqueries. repeat_interval is not
// among them, because no notification must repeat in the test.
var (
	inRules  = regexp.MustCompile(`(?m)^ *(?:for|keep_firing_for|interval): \d+[hms]|\[[^\]]*\]`)
	inConfig = regexp.MustCompile(
		`(?m)^ *(?:scrape_interval|scrape_timeout|evaluation_interval|group_wait|group_interval): \d+[hms]`)

	duration = regexp.MustCompile(`\b\d+[hms]\b`)
)

// numbers are the times that the rules have as plain numbers of seconds.
var numbers = []harness.Substitution{
	{Old: " - 300", New: " - 5"},        // AppfiguresTokenUnverified, AppfiguresTokenStale
	{Old: ") > 600\n", New: ") > 10\n"}, // AppfiguresAPIDown
	{Old: ") > 2\n", New: ") > 0.2\n"},  // AppfiguresAPISlow: probes are seconds apart
}

// shipped returns a file of prometheus/ with shorter durations in the places that match.
func shipped(t *testing.T, name string, places *regexp.Regexp, substitutions ...harness.Substitution) string {
	t.Helper()
	text := harness.ReadWith(t, "prometheus/"+name, substitutions...)
	if !places.MatchString(text) {
		t.Fatalf("%s has no durations that match %s", name, places)
	}
	return places.ReplaceAllStringFunc(text, func(place string) string {
		return duration.ReplaceAllStringFunc(place, func(written string) string { return faster(t, written) })
	})
}
