package web

import (
	"cmp"
	"fmt"
	"html/template"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// maxRows is how many tokens the page shows unless asked for all: the worst come first.
const maxRows = 500

// view is the content of status.html: words, ready to be read.
type view struct {
	Style       template.CSS
	Tone        string       // class of the worst state: bad, warn, idle or good
	Icon        template.URL // for the browser's tab, in the same color
	Headline    string
	Now         moment
	Filter      filter
	States      []stateLink
	Notices     []notice
	Groups      []group
	Shown       string // which tokens the filter shows; empty without a filter
	Hidden      string // how many rows are left out for brevity; empty if none
	Accounts    []accountRow
	PaceAdvice  string
	StateFile   string
	MetricsPath string // relative to the page, so that it works behind a proxy that strips a prefix
	Version     string

	AllLink, ClearLink, RefreshLink string
}

// stateLink is a state with the number of tokens in it and the link that filters by it.
type stateLink struct {
	Name     string
	Count    string
	Link     string
	Selected bool
}

// notice concerns more than one token.
type notice struct{ Tone, Title, Text string }

// group is all tokens with one state and one cause.
type group struct {
	state status.State
	cause status.Cause

	Tone    string
	Count   int // tokens, including those that are not in Rows
	Message string
	Rows    []row
}

func (g group) State() string  { return g.state.String() }
func (g group) Cause() string  { return g.cause.String() }
func (g group) Why() string    { return g.cause.Meaning() }
func (g group) Advice() string { return g.cause.Advice() }
func (g group) Tokens() string { return status.Plural(g.Count, "token") }

// Quoted reports whether the messages are the words of whoever answered the probe.
func (g group) Quoted() bool {
	if int(g.cause) >= probe.NumResults {
		return g.cause == status.Unconfirmed
	}
	result := probe.Result(g.cause)
	return result.Answered() || result == probe.ServerError
}

// row is one token.
type row struct {
	ID         string // of the anchor
	Name       string
	Account    string
	AccountID  string
	State      string
	SinceWhat  string
	Since      moment
	Length     string // how long since Since, or at least
	Message    string // empty if it is the group's
	Notes      []string
	HTTPStatus string
	Latency    string
	Result     string // of the last probe
	Last, Next moment // zero Next: at the next scrape
}

// accountRow is one account.
type accountRow struct {
	ID        string
	Name      string
	Tokens    string
	Quota     string // empty if the API has not reported it today
	QuotaHigh bool
	Reset     moment
	Budget    string
	Pace      string
	Held      bool
	Notes     []string
}

// moment is a time in words. The zero moment stands for never.
type moment struct {
	Relative string // "3 h ago", "in 5 min", "now"
	Absolute string // "2026-05-04 03:12 UTC"
	Machine  string // RFC 3339, for the datetime attribute
}

func momentAt(t, now time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	return moment{status.Ago(t, now), status.Minute(t), t.UTC().Format(time.RFC3339)}
}

// anchor returns the id of an element: the name as it is, so that #token-NAME works as a link, but for spaces, which an
// id cannot have and which a link has as %20.
func anchor(kind, name string) string { return kind + "-" + strings.ReplaceAll(name, " ", "%20") }

// judged is a token with its state.
type judged struct {
	monitor.TokenState
	status.Judgement
}

func newView(snapshot monitor.Snapshot, f filter) view {
	now, thresholds := snapshot.Time, status.DefaultThresholds
	accounts := make(map[string]monitor.AccountState, len(snapshot.Accounts))
	for _, account := range snapshot.Accounts {
		accounts[account.Name] = account
	}
	tokens := make([]judged, len(snapshot.Tokens))
	for i, token := range snapshot.Tokens {
		tokens[i] = judged{token, status.Judge(token, accounts[token.Account], now, thresholds)}
	}
	v := view{
		Now:        momentAt(now, now),
		Filter:     f,
		States:     stateLinks(tokens, f),
		Notices:    append(notices(snapshot), accountNotices(snapshot)...),
		PaceAdvice: status.PaceAdvice,
		StateFile:  stateFile(snapshot.StateFile, now),
		ClearLink:  filter{NoRefresh: f.NoRefresh}.link(),
	}
	v.Tone, v.Headline = headline(tokens)
	all, toggled := f, f
	all.All, toggled.NoRefresh = true, !f.NoRefresh
	v.AllLink, v.RefreshLink = all.link(), toggled.link()

	shown := slices.DeleteFunc(slices.Clone(tokens), func(token judged) bool { return !f.shows(token) })
	if f.Active() {
		v.Shown = fmt.Sprintf("%s of %s", status.Number(int64(len(shown))), status.Plural(len(tokens), "token"))
	}
	limit := maxRows
	if f.All {
		limit = len(shown)
	}
	if hidden := len(shown) - limit; hidden > 0 {
		v.Hidden = status.Plural(hidden, "more token")
	}
	v.Groups = groups(shown, limit, now)
	v.Accounts = accountRows(snapshot, shown, f)
	return v
}

// shows reports whether the page shows the token.
func (f filter) shows(token judged) bool {
	text := strings.ToLower(f.Text)
	return (f.State == "" || f.State == token.State.String()) &&
		(strings.Contains(strings.ToLower(token.Name), text) || strings.Contains(strings.ToLower(token.Account), text))
}

func stateLinks(tokens []judged, f filter) []stateLink {
	var counts [status.NumStates]int
	for _, token := range tokens {
		counts[token.State]++
	}
	var links []stateLink
	for _, state := range status.States() {
		target := filter{State: state.String(), NoRefresh: f.NoRefresh}
		links = append(links, stateLink{
			Name:     state.String(),
			Count:    status.Number(int64(counts[state])),
			Link:     target.link(),
			Selected: f.State == state.String(),
		})
	}
	return links
}

// headline summarizes all tokens in one line and gives its tone. A token that only waits for its first probe needs no
// attention.
func headline(tokens []judged) (tone, text string) {
	total, attention, waiting, worst := len(tokens), 0, 0, status.Valid
	for _, token := range tokens {
		switch {
		case token.Cause == status.NotProbed:
			waiting++
		case token.State != status.Valid:
			attention++
			worst = min(worst, token.State)
		}
	}
	tone = toneOf(worst, status.Cause(probe.Valid))
	switch {
	case attention > 0 && total == 1:
		return tone, "The token needs attention"
	case attention == 1:
		return tone, fmt.Sprintf("1 of %s tokens needs attention", status.Number(int64(total)))
	case attention > 0:
		return tone, fmt.Sprintf("%s of %s need attention", status.Number(int64(attention)), status.Plural(total, "token"))
	case waiting == total:
		return "idle", "Nothing has been probed yet"
	case waiting > 0:
		return tone, "All tokens probed so far are valid"
	case total == 1:
		return tone, "The token is valid"
	default:
		return tone, "All tokens are valid"
	}
}

// toneOf returns the class that colors a state.
func toneOf(state status.State, cause status.Cause) string {
	switch {
	case cause == status.NotProbed:
		return "idle"
	case state == status.Denied:
		return "bad"
	case state == status.Valid:
		return "good"
	default:
		return "warn"
	}
}

// groups returns the tokens by state and cause, worst first, with limit rows in all.
func groups(tokens []judged, limit int, now time.Time) []group {
	// Among valid tokens, those that the last probe confirmed come last.
	confirmed := func(cause status.Cause) int {
		if cause == status.Cause(probe.Valid) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(tokens, func(a, b judged) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(confirmed(a.Cause), confirmed(b.Cause)),
			cmp.Compare(a.Cause, b.Cause), status.CompareNames(a.Name, b.Name))
	})
	var all []group
	for same := range chunks(tokens) {
		g := group{state: same[0].State, cause: same[0].Cause, Count: len(same)}
		g.Tone = toneOf(g.state, g.cause)
		g.Message = same[0].Judgement.Message
		if slices.ContainsFunc(same, func(token judged) bool { return token.Judgement.Message != g.Message }) {
			g.Message = ""
		}
		for _, token := range same[:min(len(same), limit)] {
			r := newRow(token, now)
			if g.Message != "" {
				r.Message = ""
			}
			g.Rows = append(g.Rows, r)
		}
		limit -= len(g.Rows)
		all = append(all, g)
	}
	return all
}

// chunks yields the runs of tokens with the same state and cause.
func chunks(tokens []judged) iter.Seq[[]judged] {
	return func(yield func([]judged) bool) {
		for len(tokens) > 0 {
			n := 1
			for n < len(tokens) && tokens[n].State == tokens[0].State && tokens[n].Cause == tokens[0].Cause {
				n++
			}
			if !yield(tokens[:n]) {
				return
			}
			tokens = tokens[n:]
		}
	}
}

func newRow(token judged, now time.Time) row {
	r := row{
		ID:        anchor("token", token.Name),
		Name:      token.Name,
		Account:   token.Account,
		AccountID: anchor("account", token.Account),
		State:     token.State.String(),
		SinceWhat: token.SinceWhat,
		Since:     momentAt(token.Since, now),
		Message:   token.Judgement.Message,
		Notes:     token.Notes,
	}
	if !token.Since.IsZero() {
		r.Length = status.Duration(now.Sub(token.Since))
		if token.OrEarlier {
			r.Length = "at least " + r.Length
		}
	}
	if token.NextProbe.After(now) {
		r.Next = momentAt(token.NextProbe, now)
	}
	if token.Probed {
		r.Result = token.Last.Result.String()
		r.Last = momentAt(token.Last.Start, now)
		if token.Last.HTTPStatus != 0 {
			r.HTTPStatus = strconv.Itoa(token.Last.HTTPStatus)
		}
		if token.Last.Result != probe.NoToken { // which made no request
			r.Latency = status.Latency(token.Last.Duration)
		}
	}
	return r
}

// accountRows returns one row per account in natural order; with a filter, only those of the tokens that are shown.
func accountRows(snapshot monitor.Snapshot, shown []judged, f filter) []accountRow {
	waits := status.LongestWaits(snapshot.Tokens)
	inUse := make(map[string]bool)
	for _, token := range shown {
		inUse[token.Account] = true
	}
	var rows []accountRow
	for _, account := range snapshot.Accounts {
		if inUse[account.Name] || !f.Active() {
			rows = append(rows, newAccountRow(account, waits[account.Name], snapshot.Time))
		}
	}
	slices.SortStableFunc(rows, func(a, b accountRow) int { return status.CompareNames(a.Name, b.Name) })
	return rows
}

func newAccountRow(account monitor.AccountState, longestWait time.Duration, now time.Time) accountRow {
	row := accountRow{
		ID:        anchor("account", account.Name),
		Name:      account.Name,
		Tokens:    status.Number(int64(account.Tokens)),
		Quota:     status.Usage(account.Quota),
		QuotaHigh: status.QuotaNearlyUsed(account.Quota, status.DefaultThresholds),
		Reset:     momentAt(account.QuotaReset, now),
		Budget:    status.Number(account.BudgetUsed) + " of " + status.Number(account.Budget) + " requests",
		Pace:      status.Pace(longestWait),
		Held:      account.Held != monitor.NotHeld,
		Notes:     status.AccountNotes(account, now),
	}
	if account.Held == monitor.DailyLimit || account.Held == monitor.SlowDown {
		row.Pace = "on hold"
	}
	return row
}

func stateFile(s monitor.StateFile, now time.Time) string {
	switch {
	case !s.Enabled:
		return "No state file: a restart forgets verdicts, budgets and holds."
	case s.Saved.IsZero():
		return "State file: not saved yet."
	default:
		return "State file: saved " + status.Ago(s.Saved, now) + "."
	}
}
