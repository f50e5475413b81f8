package web

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/advice"
	"github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"
	"github.com/appfigures-exporter/appfigures_exporter/internal/monitor"
)

// view is what status.html shows: words, ready to be read.
type view struct {
	Style       template.CSS
	Tone        string       // class of the worst there is: bad, warn, idle, good
	Icon        template.URL // for the browser's tab, in the same colour
	Headline    string
	Counts      []string // how many tokens stand how
	Notices     []notice
	Rows        []row
	Hidden      string // how many rows are left out; empty when none is
	Accounts    []accountRow
	Now         moment
	MetricsPath string // relative to the page, so that it works behind a proxy that strips a prefix
	Version     string
}

// notice is what concerns more than one token, with what to do about it.
type notice struct{ Tone, Title, Text string }

// row is one token.
type row struct {
	standing   standing
	Tone       string
	State      string
	Since      moment
	OrEarlier  bool // whether it may have stood so for longer
	Name       string
	Account    string
	Why        string // the last result in words, or the one that a denial rests on
	Message    string // what the API said, or what went wrong on the way to it
	Quoted     bool   // whether the message is the API's
	Note       string // what else the reader should know
	Action     string // what to do; empty when there is nothing
	HTTPStatus string
	Latency    string
	Quota      string
	QuotaHigh  bool // more than nine tenths of the account's quota are used
	Last       moment
	Next       moment // zero: at the next scrape
	Expires    moment
	Expired    bool
}

// accountRow is one account.
type accountRow struct {
	Name   string
	Quota  string // empty when the API has not reported it today
	High   bool   // more than nine tenths of it are used
	Budget string
	Held   string // why it is not probed; empty when it is
	Until  moment
}

// newView draws the page's content from a snapshot, with at most maxRows rows.
func newView(snapshot monitor.Snapshot, maxRows int) view {
	now := snapshot.Time
	rows := make([]row, len(snapshot.Tokens))
	var counts [numStandings]int
	for i, token := range snapshot.Tokens {
		rows[i] = newRow(token, now)
		counts[rows[i].standing]++
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.standing, b.standing), cmp.Compare(a.Name, b.Name))
	})
	v := view{
		Rows:     rows[:min(len(rows), maxRows)],
		Accounts: accountRows(snapshot),
		Now:      momentAt(now, now),
	}
	v.Notices = append(notices(snapshot), accountNotices(v.Accounts)...)
	if hidden := len(rows) - len(v.Rows); hidden > 0 {
		v.Hidden = plural(hidden, "more token")
	}
	v.Tone, v.Headline = headline(counts)
	for s, count := range counts {
		if count > 0 && v.Tone != "idle" {
			v.Counts = append(v.Counts, number(int64(count))+" "+standings[s].counted)
		}
	}
	return v
}

// headline says in one line, with its tone, whether anybody has to get up.
func headline(counts [numStandings]int) (tone, text string) {
	total, attention := 0, 0
	tone = "good"
	for s, count := range counts {
		total += count
		if count > 0 && standing(s).needsAttention() {
			if attention == 0 {
				tone = standings[s].class
			}
			attention += count
		}
	}
	switch {
	case attention > 0 && total == 1:
		return tone, "The token needs attention"
	case attention == 1:
		return tone, fmt.Sprintf("1 of %s tokens needs attention", number(int64(total)))
	case attention > 0:
		return tone, fmt.Sprintf("%s of %s tokens need attention", number(int64(attention)), number(int64(total)))
	case counts[waiting] == total:
		return "idle", "Nothing has been probed yet"
	case total == 1:
		return tone, "The token is valid"
	case counts[waiting] > 0:
		return tone, "All tokens probed so far are valid"
	default:
		return tone, "All tokens are valid"
	}
}

func newRow(token monitor.TokenState, now time.Time) row {
	s := standingOf(token, now)
	since, orEarlier := standingSince(s, token)
	r := row{
		standing:  s,
		Tone:      standings[s].class,
		State:     standings[s].word,
		Since:     momentAt(since, now),
		OrEarlier: orEarlier,
		Name:      token.Name,
		Account:   token.Account,
		Next:      momentAt(later(token.NextDue, now), now),
		Expires:   momentAt(token.ExpiresAt, now),
		Expired:   !token.ExpiresAt.After(now),
		Note:      note(s, token, now),
	}
	r.Quota, r.QuotaHigh = usage(token.Quota)
	if !token.Probed {
		r.Why = "The next scrape probes it."
		if r.Next.Relative != "" {
			r.Why = "Its account's pause or budget holds the first probe back."
		}
		return r
	}
	ground := monitor.Ground{Result: token.Last.Result, Message: token.Last.Message}
	if s == denied {
		ground = token.Ground
	}
	r.Why = ground.Result.Meaning()
	if ground.Result != probe.Valid {
		r.Message = ground.Message
		r.Quoted = ground.Result.Answered() || ground.Result == probe.ServerError
		r.Action = ground.Result.Advice()
	}
	if token.Last.HTTPStatus != 0 {
		r.HTTPStatus = strconv.Itoa(token.Last.HTTPStatus)
	}
	if token.Last.Result != probe.NoToken { // which made no request
		r.Latency = latency(token.Last.Duration)
		r.Last = momentAt(token.Last.Start, now)
	}
	return r
}

// later returns t when it is yet to come, else zero.
func later(t, now time.Time) time.Time {
	if t.After(now) {
		return t
	}
	return time.Time{}
}

// note says what a token's standing does not: an older verdict that stands, an expiry that is near.
func note(s standing, token monitor.TokenState, now time.Time) string {
	given := momentAt(token.VerdictTime, now).Relative
	switch {
	case s == unconfirmed:
		return fmt.Sprintf("It was valid when the API last judged it, %s, and counts as valid until the API says otherwise.", given)
	case s == denied && token.Last.Result.Verdict() == probe.VerdictUnknown:
		last := token.Last.Result.Meaning()
		if token.Last.Message != "" {
			last += " (" + token.Last.Message + ")"
		}
		return fmt.Sprintf("So the API said when it last judged the token, %s. The last probe brought no verdict: %s", given, last)
	case s == expiring && token.ExpiresAt.After(now):
		return "It still works. Replace it before it expires, and set expires_at anew."
	case s == expiring:
		return "It works past the expiry that the configuration gives. Set expires_at to what is true."
	default:
		return ""
	}
}

// usage says how much of a quota is used, and whether that is more than nine tenths: then rules warn of it too.
func usage(quota probe.Quota) (text string, high bool) {
	switch {
	case quota.UsedOK && quota.LimitOK:
		return number(quota.Used) + " of " + number(quota.Limit), float64(quota.Used) > 0.9*float64(quota.Limit)
	case quota.UsedOK:
		return number(quota.Used), false
	default:
		return "", false
	}
}

// accountRows returns a row for each account. Its tokens may have heard of its quota at different times: the most that
// was used is the latest.
func accountRows(snapshot monitor.Snapshot) []accountRow {
	quotas := make(map[string]probe.Quota)
	for _, token := range snapshot.Tokens {
		if known, ok := quotas[token.Account]; token.Quota.UsedOK && (!ok || token.Quota.Used > known.Used) {
			quotas[token.Account] = token.Quota
		}
	}
	rows := make([]accountRow, len(snapshot.Accounts))
	for i, account := range snapshot.Accounts {
		rows[i] = newAccountRow(account, snapshot.Time)
		rows[i].Quota, rows[i].High = usage(quotas[account.Name])
	}
	return rows
}

func newAccountRow(account monitor.AccountState, now time.Time) accountRow {
	a := accountRow{Name: account.Name, Budget: "The API has not reported a limit yet, so probes are not paced."}
	if account.BudgetKnown {
		a.Budget = fmt.Sprintf("%s of %s requests that probes may make today (UTC)", number(account.Used), number(account.Budget))
	}
	if account.HeldUntil.After(now) {
		a.Until = momentAt(account.HeldUntil, now)
		a.Held = "The API asked to slow down."
		if account.HeldFor == probe.DailyLimit {
			a.Held = "All of the account's requests of the day are used up."
		}
	}
	return a
}

// quiet is how long nothing may have been probed, though something was due, before the page wonders who scrapes.
const quiet = 15 * time.Minute

// notices says what concerns all tokens.
func notices(snapshot monitor.Snapshot) []notice {
	var all []notice
	last := lastProbe(snapshot.Tokens)
	if last.IsZero() {
		all = append(all, notice{"idle", "The exporter probes when it is scraped.",
			"Let Prometheus scrape it; what the API says is then shown on this page."})
	}
	if nobodyAnswered(snapshot.Tokens) {
		all = append(all, notice{"warn", "The API answers no token.",
			"The network, a proxy or the API itself is at fault rather than the tokens. Their last verdicts stand."})
	}
	if !last.IsZero() && snapshot.Time.Sub(last) > quiet && anyDue(snapshot) {
		all = append(all, notice{"warn", "Nobody seems to scrape this exporter.",
			fmt.Sprintf("The last probe was %s, and more are due. The exporter probes only when it is scraped: check that Prometheus reaches it.",
				momentAt(last, snapshot.Time).Relative)})
	}
	return all
}

// accountNotices says which accounts the API asked not to bother, and which have almost used up their requests; of
// several, only how many.
func accountNotices(accounts []accountRow) []notice {
	var held, high []accountRow
	for _, account := range accounts {
		switch {
		case account.Held != "":
			held = append(held, account)
		case account.High:
			high = append(high, account)
		}
	}
	var all []notice
	switch len(held) {
	case 0:
	case 1:
		all = append(all, notice{"warn", fmt.Sprintf("Account %s is not probed until %s.", held[0].Name, held[0].Until.Minute), held[0].Held})
	default:
		all = append(all, notice{"warn", fmt.Sprintf("%s accounts are not probed for now.", number(int64(len(held)))),
			"The API asked for a pause; the list of accounts below says until when."})
	}
	const soon = "At the limit the API refuses all of an account's programs until midnight UTC."
	switch len(high) {
	case 0:
	case 1:
		all = append(all, notice{"warn", fmt.Sprintf("Account %s has used %s requests today.", high[0].Name, high[0].Quota), soon})
	default:
		all = append(all, notice{"warn", fmt.Sprintf("%s accounts have used over nine tenths of their requests today.", number(int64(len(high)))), soon})
	}
	return all
}

// nobodyAnswered reports whether several tokens were probed and none of the last probes reached the API.
func nobodyAnswered(tokens []monitor.TokenState) bool {
	asked := 0
	for _, token := range tokens {
		switch {
		case !token.Probed || token.Last.Result == probe.NoToken:
		case token.Last.Result.Answered():
			return false
		default:
			asked++
		}
	}
	return asked > 1
}

// lastProbe returns when the latest probe of any token began; zero before the first.
func lastProbe(tokens []monitor.TokenState) time.Time {
	var last time.Time
	for _, token := range tokens {
		if token.Probed && token.Last.Start.After(last) {
			last = token.Last.Start
		}
	}
	return last
}

// anyDue reports whether a scrape would have probed something by now.
func anyDue(snapshot monitor.Snapshot) bool {
	return slices.ContainsFunc(snapshot.Tokens, func(token monitor.TokenState) bool {
		return !token.NextDue.After(snapshot.Time)
	})
}
