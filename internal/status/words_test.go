package status

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestAgo(t *testing.T) {
	for offset, want := range map[time.Duration]string{
		0:                       "now",
		-999 * time.Millisecond: "now",
		-time.Second:            "1 s ago",
		-59 * time.Second:       "59 s ago",
		-90 * time.Second:       "1 min ago",
		-3 * time.Hour:          "3 h ago",
		-47 * time.Hour:         "47 h ago",
		-48 * time.Hour:         "2 days ago",
		5 * time.Minute:         "in 5 min",
		1000 * day:              "in 1,000 days",
	} {
		if got := Ago(now.Add(offset), now); got != want {
			t.Errorf("Ago(%v) = %q, want %q", offset, got, want)
		}
	}
	if got := Ago(time.Time{}, now); got != "" {
		t.Errorf("Ago(never) = %q", got)
	}
	if got := Duration(0); got != "under 1 s" {
		t.Errorf("Duration(0) = %q", got)
	}
	if got := Minute(now.In(time.FixedZone("CEST", 2*3600))); got != "2026-05-04 03:00 UTC" {
		t.Errorf("Minute = %q", got)
	}
}

func TestLatency(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 83 * time.Millisecond: "83 ms", 1234 * time.Millisecond: "1.2 s", 10 * time.Second: "10.0 s",
	} {
		if got := Latency(d); got != want {
			t.Errorf("Latency(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 12345: "12,345", 1234567: "1,234,567", -1000: "-1,000", -999: "-999",
		math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		if got := Number(n); got != want {
			t.Errorf("Number(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 tokens", 1: "1 token", 1000: "1,000 tokens"} {
		if got := Plural(n, "token"); got != want {
			t.Errorf("Plural(%d) = %q, want %q", n, got, want)
		}
	}
	for wait, want := range map[time.Duration]string{
		0: "at each scrape", 57600 * time.Millisecond: "every 58 s or sooner", 29 * time.Minute: "every 29 min or sooner",
		26_198 * time.Second: "every 8 h or sooner", 59*time.Minute + time.Second: "every 1 h or sooner",
	} {
		if got := Pace(wait); got != want {
			t.Errorf("Pace(%v) = %q, want %q", wait, got, want)
		}
	}
}

func TestCompareNames(t *testing.T) {
	sorted := []string{
		"", "00", "1", "01", "2", "10", "99999999999999999999", "100000000000000000000", "acct", "acct1", "acct01",
		"acct2", "acct2b", "acct10", "acct10a2", "acct10a10", "acct-1", "b", "é",
	}
	slices.SortFunc(sorted, CompareNames)
	shuffled := slices.Clone(sorted)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, CompareNames)
	if !slices.Equal(sorted, shuffled) {
		t.Errorf("the order depends on the input: %q, %q", sorted, shuffled)
	}
	for _, pair := range [][2]string{
		{"acct2", "acct10"}, {"acct10a2", "acct10a10"}, {"acct", "acct1"}, {"a", "b"},
		{"99999999999999999999", "100000000000000000000"},
	} {
		if CompareNames(pair[0], pair[1]) >= 0 || CompareNames(pair[1], pair[0]) <= 0 {
			t.Errorf("%q does not come before %q", pair[0], pair[1])
		}
	}
}

// FuzzCompareNames checks that the order is total: slices.SortFunc needs that.
func FuzzCompareNames(f *testing.F) {
	f.Add("a1", "a01", "a10")
	f.Add("1", "1a", "01")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if CompareNames(a, b) != -CompareNames(b, a) || (CompareNames(a, b) == 0) != (a == b) {
			t.Errorf("%q, %q: not antisymmetric", a, b)
		}
		if CompareNames(a, b) <= 0 && CompareNames(b, c) <= 0 && CompareNames(a, c) > 0 {
			t.Errorf("%q, %q, %q: not transitive", a, b, c)
		}
	})
}
