package check

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// tableOf returns the table of a snapshot on a terminal of that width.
func tableOf(t *testing.T, snapshot monitor.Snapshot, width int, colors bool) string {
	t.Helper()
	return tableWith(t, options(snapshot, Table), width, colors)
}

func tableWith(t *testing.T, o Options, width int, colors bool) string {
	t.Helper()
	o.Stdout.Is, o.Stdout.Width = true, width
	if !colors {
		o.Getenv = func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] }
	}
	_, stdout, _ := run(t, o)
	return stdout
}

func TestTable(t *testing.T) {
	for _, test := range []struct {
		file     string
		snapshot monitor.Snapshot
		width    int
		colors   bool
	}{
		{"everything.txt", everything(), 80, false},
		{"narrow.txt", everything(), 56, false},
		{"colors.txt", at(
			valid("a"), expiring(valid("b"), time.Hour), token("c", probe.Timeout, 0, ""), token("d", probe.Locked, 403, ""),
		), 80, true},
		{"fine.txt", at(valid("reporting"), valid("etl")), 80, false},
	} {
		golden(t, test.file, tableWith(t, withoutWords(options(test.snapshot, Table)), test.width, test.colors))
	}
}

var sgr = regexp.MustCompile("\x1b\\[[0-9]+m")

func TestTableWidth(t *testing.T) {
	huge := of("no-account", valid(strings.Repeat("꧅龍é", 100)))
	huge.Last.Duration = 1<<63 - 1
	snapshot := everything()
	snapshot.Accounts = append(snapshot.Accounts, account("no-account", 1_000_000_000, 1_000_000_000))
	snapshot.Tokens = append(snapshot.Tokens, huge)
	for width := minWidth; width <= maxWidth; width++ {
		for line := range strings.Lines(sgr.ReplaceAllString(tableOf(t, snapshot, width, true), "")) {
			line = strings.TrimSuffix(line, "\n")
			if got := displayWidth(line); got > width {
				t.Errorf("a line of a table of %d columns has %d: %q", width, got, line)
			}
			if strings.TrimRight(line, " ") != line {
				t.Errorf("a line of a table of %d columns ends in spaces: %q", width, line)
			}
		}
	}
}

func TestColumns(t *testing.T) {
	for _, test := range []struct {
		terminal Terminal
		want     int
	}{
		{Terminal{}, 80},
		{Terminal{Width: 200}, 80},
		{Terminal{Is: true}, 80},
		{Terminal{Is: true, Width: 100}, 100},
		{Terminal{Is: true, Width: 300}, 120},
		{Terminal{Is: true, Width: 20}, 40},
	} {
		if got := test.terminal.columns(); got != test.want {
			t.Errorf("%+v: %d columns, want %d", test.terminal, got, test.want)
		}
	}
}

func TestColors(t *testing.T) {
	for _, test := range []struct {
		name     string
		terminal bool
		env      map[string]string
		want     bool
	}{
		{"a terminal", true, map[string]string{"TERM": "xterm"}, true},
		{"a pipe", false, map[string]string{"TERM": "xterm"}, false},
		{"NO_COLOR", true, map[string]string{"NO_COLOR": "1"}, false},
		{"an empty NO_COLOR", true, map[string]string{"NO_COLOR": ""}, true},
		{"a terminal without colors", true, map[string]string{"TERM": "dumb"}, false},
	} {
		o := options(everything(), Table)
		o.Stdout.Is, o.Getenv = test.terminal, func(name string) string { return test.env[name] }
		if _, stdout, _ := run(t, o); strings.Contains(stdout, "\x1b[") != test.want {
			t.Errorf("%s: colors %t, want %t", test.name, !test.want, test.want)
		}
	}
}

// Nothing in a report, which may come from elsewhere, controls the terminal or ends a line of Nagios early.
func TestHostileText(t *testing.T) {
	const hostile = "a\x1b[2J\x9b]0;title\u009b\u202e31m|b\nc"
	snapshot := at(of(hostile, token(hostile, probe.Rejected, 401, hostile)))
	snapshot.Accounts = append(snapshot.Accounts, account(hostile, 999, 1000))
	for _, format := range []Format{Table, Nagios, JSON} {
		for _, foreign := range []bool{false, true} {
			o := options(snapshot, format)
			if foreign {
				report, _ := o.Load(t.Context())
				token := &report.Tokens[0]
				token.State, token.Cause, token.Result, token.Why = hostile, hostile, new(hostile), hostile
				token.Notes, token.Advice = []string{hostile}, new(hostile)
				report.Accounts[0].Notes = []string{hostile}
				o.Load = fixed(report)
			}
			_, stdout, _ := run(t, o)
			for _, r := range stdout {
				if r != '\n' && !unicode.IsPrint(r) {
					t.Fatalf("%s, foreign %t: the report contains %U:\n%q", format, foreign, r, stdout)
				}
			}
			lines := strings.Split(stdout, "\n")
			if format == Nagios && (len(lines) != 4 || strings.Count(stdout, "|") != 1 || !strings.Contains(lines[0], "|")) {
				t.Errorf("Nagios, foreign %t: want three lines and one '|', got\n%s", foreign, stdout)
			}
		}
	}
}

func TestTableAdvice(t *testing.T) {
	for _, result := range probe.Results() {
		snapshot := at(valid("fine"), token("first", result, 0, ""), token("second", result, 0, ""))
		table := strings.Join(strings.Fields(tableOf(t, snapshot, 80, false)), " ")
		want := 1
		if result == probe.Valid {
			want = 0
		}
		for _, sentence := range []string{result.Meaning(), result.Advice()} {
			if got := strings.Count(table, sentence); got != want {
				t.Errorf("%v: the table contains %q %d times, want %d:\n%s", result, sentence, got, want, table)
			}
		}
	}
}

func TestTableAccounts(t *testing.T) {
	instant := of("crowded", valid("instant"))
	instant.Interval = 0
	const (
		acme = "acme: Probes used 0 of 250 requests in the last 24 hours; each token is probed every 6 min or sooner.\n"
		fast = "crowded: Probes used 0 of 250 requests in the last 24 hours; each token is probed at each scrape.\n"
		held = "burst: Probes used 0 of 250 requests in the last 24 hours. " +
			"Not probed until 2026-05-04 12:15 UTC (in 15 min): the API asked for fewer requests.\n"
		advice = status.PaceAdvice + "\n"
	)
	denied := token("d", probe.Locked, 403, "")
	for _, test := range []struct {
		name   string
		quiet  bool
		tokens []monitor.TokenState
		want   string
	}{
		{"one account", false, []monitor.TokenState{valid("a")}, acme + advice},
		{"probed at each scrape", false, []monitor.TokenState{instant}, fast},
		{"several", false, []monitor.TokenState{valid("a"), instant, of("burst", valid("b"))}, acme + held + fast + advice},
		{"quiet", true, []monitor.TokenState{denied}, ""},
		{"quiet, one held", true, []monitor.TokenState{denied, of("burst", valid("b"))}, held},
		{"quiet, all valid", true, []monitor.TokenState{of("burst", valid("b"))}, ""},
	} {
		o := options(at(test.tokens...), Table)
		o.Quiet = test.quiet
		_, after, _ := strings.Cut(tableWith(t, o, maxWidth, false), "\nACCOUNTS\n")
		got, _, _ := strings.Cut(strings.ReplaceAll(after, "\n"+indent, " "), "\n\n")
		if strings.TrimSuffix(got, "\n") != strings.TrimSuffix(test.want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, got, test.want)
		}
	}
}

func TestTableOrder(t *testing.T) {
	snapshot := at(
		valid("v10"), expiring(valid("w1"), time.Hour), token("u1", probe.Timeout, 0, ""),
		token("d1", probe.Rejected, 401, ""),
		valid("v9"), token("d3", probe.Locked, 403, ""), token("d2", probe.Rejected, 401, ""),
	)
	var names []string
	row := regexp.MustCompile(`(?m)^[✓!?✗] (\S+)`)
	for _, match := range row.FindAllStringSubmatch(tableOf(t, snapshot, 80, false), -1) {
		names = append(names, match[1])
	}
	if got, want := fmt.Sprint(names), "[d3 d1 d2 u1 w1 v9 v10]"; got != want {
		t.Errorf("the rows are %s, want %s", got, want)
	}
}
