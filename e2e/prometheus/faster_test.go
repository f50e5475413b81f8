package prometheus

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// The shipped files think in minutes, hours and days. For the test they are made faster, and are else as shipped: a
// minute becomes a second, and an hour ten seconds, so that six hours are a minute.
const (
	fasterMinutes = 60
	fasterHours   = 360
)

// faster returns a duration, as Prometheus and Alertmanager write it, made faster.
func faster(t *testing.T, written string) string {
	t.Helper()
	factor := map[byte]time.Duration{'s': fasterMinutes, 'm': fasterMinutes, 'h': fasterHours, 'd': fasterHours}[written[len(written)-1]]
	spelt := written
	if days, found := strings.CutSuffix(written, "d"); found {
		spelt = days + "h"
		factor /= 24
	}
	d, err := time.ParseDuration(spelt)
	if err != nil || factor == 0 {
		t.Fatalf("duration %q: %v", written, err)
	}
	return fmt.Sprintf("%dms", (d / factor).Milliseconds())
}

// Where durations stand that are made faster: after some keys of the YAML; in an expression as a range, the step of a
// subquery, an offset. repeat_interval stays as it is: nothing is to be repeated in the test.
var (
	inRules  = regexp.MustCompile(`(?m)^ *(?:- )?(?:for|keep_firing_for|interval): \d+[dhms]|\[[^\]]*\]|\boffset \d+[dhms]`)
	inConfig = regexp.MustCompile(`(?m)^ *(?:scrape_interval|scrape_timeout|evaluation_interval|group_wait|group_interval): \d+[dhms]`)

	duration = regexp.MustCompile(`\b\d+[dhms]\b`)
)

// numbers are the times that stand in the rules as plain numbers of seconds, with what is around them.
var numbers = []replacement{
	{"> 21600", "> 60"},                                    // AppfiguresTokenUnverified: six hours
	{"(60 + max", "(1 + max"},                              // AppfiguresAPIDown: a minute
	{"timestamp_seconds < 1200", "timestamp_seconds < 20"}, // AppfiguresAPISlow: 20 minutes
	{") > 2\n", ") > 0.2\n"},                               // AppfiguresAPISlow: the answer's time; scrapes are a second apart
	{"86400 > bool 900", "86400 > bool 15"},                // the first quarter of an hour of a day
}

// replacement is a text of a shipped file and what stands for it in the test.
type replacement struct{ written, meant string }

// shipped returns a file of prometheus/, with the durations in the places made faster. Each of the replacements must find
// its text.
func shipped(t *testing.T, name string, places *regexp.Regexp, replacements ...replacement) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root, "prometheus", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for _, r := range replacements {
		if !strings.Contains(text, r.written) {
			t.Fatalf("%s does not say %q any more", name, r.written)
		}
		text = strings.ReplaceAll(text, r.written, r.meant)
	}
	if !places.MatchString(text) {
		t.Fatalf("%s has no durations that match %s", name, places)
	}
	return places.ReplaceAllStringFunc(text, func(place string) string {
		return duration.ReplaceAllStringFunc(place, func(written string) string { return faster(t, written) })
	})
}
