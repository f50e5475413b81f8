package check

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/appfigures-exporter/appfigures_exporter/internal/advice"
	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

func TestTable(t *testing.T) {
	for _, test := range []struct {
		file     string
		snapshot monitor.Snapshot
		width    int
		colours  palette
	}{
		{"everything.txt", everything(), 80, false},
		{"wide.txt", everything(), 120, false},
		{"colours.txt", everything(), 80, true},
		{"fine.txt", at(noon, valid("reporting"), valid("etl")), 80, false},
		{"one.txt", at(noon, probed("default", probe.Rejected, 401, "AccessToken invalid")), 80, false},
	} {
		golden(t, test.file, renderTable(examine(test.snapshot), test.width, test.colours))
	}
}

var sgr = regexp.MustCompile("\x1b\\[[0-9]+m")

func TestNoLineIsWiderThanTheTable(t *testing.T) {
	huge := withQuota(valid(strings.Repeat("꧅龍é", 100)), 1_000_000_000, 1_000_000_000)
	huge.Last.Duration = maxPatience
	snapshot := everything()
	snapshot.Tokens = append(snapshot.Tokens, huge)
	for width := minWidth; width <= maxWidth; width++ {
		table := renderTable(examine(snapshot), width, true)
		for line := range strings.Lines(sgr.ReplaceAllString(table, "")) {
			line = strings.TrimSuffix(line, "\n")
			if got := displayWidth(line); got > width {
				t.Errorf("a line of a table of %d columns has %d: %q", width, got, line)
			}
			if strings.TrimRight(line, " ") != line {
				t.Errorf("a line ends in spaces: %q", line)
			}
		}
	}
}

func TestTableShowsNoHostileCharacter(t *testing.T) {
	const hostile = "a\x1b[2J\x1b]0;title\x07\u009b31m\u202eb\r\nc\x00\x7f\u200b\u2028\U000E0001d\xff"
	token := probed(hostile, probe.Rejected, 401, hostile)
	token.Account = hostile
	token = withQuota(expiring(token, time.Hour), 99, 100)
	held := at(noon, token, unasked("held", hostile))
	held.Accounts = append(held.Accounts, monitor.AccountState{Name: hostile, HeldUntil: noon.Add(time.Hour)})

	table := renderTable(examine(held), 80, false)
	for _, r := range table {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("the table holds %U:\n%q", r, table)
		}
	}
	if want := "a�[2J�]0;title��31mb"; !strings.Contains(table, want) {
		t.Errorf("the table lacks %q:\n%s", want, table)
	}
}

func TestTableAdvisesOnceOnEachResult(t *testing.T) {
	for _, result := range probe.Results() {
		snapshot := at(noon, valid("fine"), probed("first", result, 0, ""), probed("second", result, 0, ""))
		table := strings.Join(strings.Fields(renderTable(examine(snapshot), 80, false)), " ")
		want := 1
		if result == probe.Valid {
			want = 0
		}
		for _, sentence := range []string{result.Meaning(), result.Advice()} {
			if got := strings.Count(table, sentence); got != want {
				t.Errorf("%v: the table says %q %d times, want %d:\n%s", result, sentence, got, want, table)
			}
		}
	}
}

func TestTableShowsTroubleFirst(t *testing.T) {
	snapshot := at(noon,
		valid("v1"), expiring(valid("w1"), time.Hour), probed("u1", probe.Timeout, 0, ""),
		probed("d1", probe.Rejected, 401, ""), valid("v2"), probed("d2", probe.Rejected, 401, ""))
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^[✓!?✗] (\S+)`).FindAllStringSubmatch(renderTable(examine(snapshot), 80, false), -1) {
		names = append(names, match[1])
	}
	if got, want := fmt.Sprint(names), "[d1 d2 u1 w1 v1 v2]"; got != want {
		t.Errorf("the rows are %s, want %s", got, want)
	}
}

func TestSummary(t *testing.T) {
	var (
		soon   = expiring(valid("soon"), time.Hour)
		denied = probed("denied", probe.Locked, 403, "")
		down   = probed("down", probe.Unreachable, 0, "")
	)
	for _, test := range []struct {
		tokens []monitor.TokenState
		want   string
	}{
		{[]monitor.TokenState{valid("a")}, "1 token, all valid"},
		{[]monitor.TokenState{valid("a"), valid("b")}, "2 tokens, all valid"},
		{[]monitor.TokenState{denied}, "1 of 1 token needs attention: 1 denied"},
		{[]monitor.TokenState{valid("a"), soon}, "1 of 2 tokens needs attention: 1 with a warning"},
		{[]monitor.TokenState{soon, down, valid("a"), denied, denied},
			"4 of 5 tokens need attention: 2 denied, 1 without a verdict, 1 with a warning"},
	} {
		if got := summary(examine(at(noon, test.tokens...))); got != test.want {
			t.Errorf("summary = %q, want %q", got, test.want)
		}
	}
}
