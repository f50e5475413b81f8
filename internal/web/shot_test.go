package web

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/collector"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

func TestShots(t *testing.T) {
	os.MkdirAll("/tmp/pages", 0o755)
	quiet := monitor.Snapshot{Time: threeAtNight, Tokens: []monitor.TokenState{unprobed("etl"), unprobed("reporting")}}
	good := everyState()
	good.Tokens = append(good.Tokens[:1:1], good.Tokens[18:]...)
	down := good
	down.Unanswered = monitor.Unanswered{Probes: 4, Since: threeAtNight.Add(-12 * time.Minute)}
	for name, s := range map[string]monitor.Snapshot{"every": everyState(), "300": manyTokens(300), "20": manyTokens(20), "quiet": quiet, "down": down} {
		o := testOptions(&fakeScraper{snapshot: s})
		if name == "every" {
			o.LastReload = func() (time.Time, error) { return threeAtNight.Add(-time.Hour), errors.New("config.yml:3: tokens: none") }
			o.Exporter = func() collector.Exporter {
				return collector.Exporter{StateFile: monitor.StateFile{Enabled: true, Errors: 3, Saved: threeAtNight.Add(-time.Hour)}}
			}
		}
		os.WriteFile("/tmp/pages/"+name+".html", ask(newHandler(t, o), "GET", "/?refresh=off").Body.Bytes(), 0o644)
		if name == "every" {
			os.WriteFile("/tmp/pages/filtered.html", ask(newHandler(t, o), "GET", "/?refresh=off&state=denied").Body.Bytes(), 0o644)
		}
	}
}
