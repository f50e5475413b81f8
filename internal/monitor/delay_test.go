package monitor

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
)

// TestDelayTable measures how long a revocation can stay unseen, in simulated days of 60-second scrapes with the
// API's documented limit, and holds the table in the README to it.
func TestDelayTable(t *testing.T) {
	shares := []float64{0.1, 0.25, 0.5, 1}
	var table strings.Builder
	table.WriteString("| tokens in the account |")
	for _, share := range shares {
		fmt.Fprintf(&table, " share %v |", share)
	}
	table.WriteString("\n|---|---|---|---|---|\n")
	for _, n := range []int{1, 2, 5, 10, 20, 50} {
		fmt.Fprintf(&table, "| %d |", n)
		for _, share := range shares {
			synctest.Test(t, func(t *testing.T) { fmt.Fprintf(&table, " %s |", inWords(worstDelay(n, share))) })
		}
		table.WriteString("\n")
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), table.String()) {
		t.Errorf("README.md does not have the table that was measured:\n%s", table.String())
	}
}

// worstDelay returns the longest time between two probes of one of n tokens on the third day: what a revocation just
// after a probe waits to be seen.
func worstDelay(n int, share float64) time.Duration {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("token", i))
	}
	api := &fakeAPI{answer: always(appfigures.Valid, documentedLimit)}
	cfg := tokens(names...)
	cfg.Pacing.QuotaShare = share
	m := newMonitor(cfg, api)
	defer m.Stop()
	for time.Now().Before(midnight.Add(3 * day)) {
		scrape(m)
		time.Sleep(time.Minute)
	}
	last := make(map[string]time.Time)
	var worst time.Duration
	for _, ask := range api.asked {
		if ask.at.After(midnight.Add(2 * day)) {
			worst = max(worst, ask.at.Sub(last[ask.token]))
		}
		last[ask.token] = ask.at
	}
	return worst
}

// inWords writes a duration of whole minutes.
func inWords(d time.Duration) string {
	minutes := int(d.Minutes())
	if minutes < 60 {
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
}
