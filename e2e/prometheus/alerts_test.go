package prometheus

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// alertTimeout is how long a notification may take. The longest waits of the rules are half a minute, see [faster].
const alertTimeout = 2 * time.Minute

const (
	firing   = "firing"
	resolved = "firing, resolved"
)

// TestAlerts runs the shipped rules and the shipped configuration of Alertmanager through one story. After each scene,
// all notifications since the beginning are compared with all that there should have been, so that the next scene at
// the latest finds one that is wrong or comes too early.
func TestAlerts(t *testing.T) {
	t.Parallel()
	s := startStage(t, map[string]simulator.Behavior{"failing": simulator.ServerError, "proxied": simulator.ProxyPage})
	notified := map[string]string{}
	await := func(scene string, news map[string]string) {
		t.Helper()
		maps.Copy(notified, news)
		t.Logf("%s: awaiting %v", scene, news)
		s.receiver.await(t, alertTimeout, notified)
	}
	set := func(behaviors map[string]simulator.Behavior) {
		for token, behavior := range behaviors {
			s.api.Set(secretOf(token), behavior)
		}
	}
	all := func(behavior simulator.Behavior, except map[string]simulator.Behavior) {
		for _, token := range tokens {
			set(map[string]simulator.Behavior{token.name: behavior})
		}
		set(except)
	}

	await("what is wrong at the start", map[string]string{
		"AppfiguresTokenExpiringSoon/expiring/expiring":    firing,
		"AppfiguresTokenSecretUnavailable/missing/missing": firing,
		"AppfiguresTokenUnverified/failing/failing":        firing,
		"AppfiguresTokenUnverified/proxied/proxied":        firing,
	})

	harness.Write(t, s.exporter.Dir+"/missing", secretOf("missing"))
	s.respondOnce("odd", simulator.Revoked)
	set(map[string]simulator.Behavior{
		"revoked": simulator.Revoked, "dead": simulator.Rejected,
		"first": simulator.Locked, "second": simulator.Disabled,
		"forbidden": simulator.Forbidden, "throttled": simulator.SlowDown, "exhausted": simulator.DailyLimit,
	})
	s.api.Use("spender", usedByOther)
	s.reconfigure("tokens:", "tokenz:")
	await("the API denies and limits, the configuration has a mistake", map[string]string{
		"AppfiguresTokenSecretUnavailable/missing/missing": resolved,
		"AppfiguresTokenRejected/revoked/revoked":          firing,
		"AppfiguresTokenRejected/dead/dead":                firing,
		"AppfiguresAccountLocked/lapsed":                   firing,
		"AppfiguresTokenForbidden/forbidden/forbidden":     firing,
		"AppfiguresTokenUnverified/throttled/throttled":    firing,
		"AppfiguresQuotaExhausted/exhausted":               firing,
		"AppfiguresQuotaNearlyExhausted/spender":           firing,
		"AppfiguresExporterConfigReloadFailed":             firing,
	})

	s.reconfigure("tokenz:", "tokens:")
	s.reconfigure(inDays(5), inDays(50))
	s.api.SetLimit("spender", 2*limit)
	all(simulator.Slow, map[string]simulator.Behavior{
		"dead": simulator.Rejected, "exhausted": simulator.DailyLimit,
		"failing": simulator.ServerError, "proxied": simulator.ProxyPage,
	})
	await("most tokens are valid again, but slow", map[string]string{
		"AppfiguresTokenRejected/revoked/revoked":       resolved,
		"AppfiguresAccountLocked/lapsed":                resolved,
		"AppfiguresTokenForbidden/forbidden/forbidden":  resolved,
		"AppfiguresTokenUnverified/throttled/throttled": resolved,
		"AppfiguresQuotaNearlyExhausted/spender":        resolved,
		"AppfiguresExporterConfigReloadFailed":          resolved,
		"AppfiguresTokenExpiringSoon/expiring/expiring": resolved,
		"AppfiguresAPISlow":                             firing,
	})

	denied := map[string]simulator.Behavior{"dead": simulator.Rejected, "exhausted": simulator.DailyLimit}
	all(simulator.Valid, denied)
	await("all but two are valid", map[string]string{
		"AppfiguresAPISlow":                         resolved,
		"AppfiguresTokenUnverified/failing/failing": resolved,
		"AppfiguresTokenUnverified/proxied/proxied": resolved,
	})

	for _, outage := range []struct {
		behavior simulator.Behavior
		result   string
	}{
		{simulator.Hang, "timeout"}, {simulator.Drop, "unreachable"},
		{simulator.ServerError, "server_error"}, {simulator.ProxyPage, "unexpected"},
	} {
		all(outage.behavior, nil)
		s.awaitEach(outage.result)
	}
	s.api.Close()
	await("outages of every kind", map[string]string{"AppfiguresAPIDown": firing})
	s.checkStillDenied()

	s.api.Open()
	all(simulator.Valid, denied)
	await("the outage is over", map[string]string{"AppfiguresAPIDown": resolved})

	all(simulator.ServerError, map[string]simulator.Behavior{"exhausted": simulator.DailyLimit})
	s.exporter.Stop()
	s.restart(false)
	s.checkStillDenied()
	s.exporter.Stop()
	await("the exporter is down", map[string]string{"AppfiguresExporterDown": firing})
	s.prometheus.Await(t, alertTimeout, map[string]float64{"": 1}, // two group_intervals
		`count(count_over_time(ALERTS{alertname="AppfiguresExporterDown",alertstate="firing"}[1m]) > 10)`)
	s.restart(false)
	await("the exporter is back, in an outage", map[string]string{
		"AppfiguresExporterDown": resolved, "AppfiguresAPIDown": "firing, resolved, firing",
	})
	s.prometheus.Await(t, alertTimeout, map[string]float64{firing: 1}, `ALERTS`+dead, "alertstate")

	all(simulator.Valid, nil)
	await("all are valid, but the exhausted account is not probed before midnight", map[string]string{
		"AppfiguresTokenRejected/dead/dead": resolved, "AppfiguresAPIDown": "firing, resolved, firing, resolved",
	})

	s.exporter.Stop()
	s.restart(true)
	await("all are valid", map[string]string{"AppfiguresQuotaExhausted/exhausted": resolved})
	s.prometheus.Await(t, alertTimeout, map[string]float64{}, `ALERTS`, "alertname")
	s.receiver.await(t, alertTimeout, notified)
	s.checkTexts()
}

// respondOnce makes the API treat one request of the token so.
func (s *stage) respondOnce(token string, behavior simulator.Behavior) {
	s.t.Helper()
	before := s.api.Requests(secretOf(token))
	s.api.Set(secretOf(token), behavior)
	harness.Until(s.t, alertTimeout, func() error {
		if s.api.Requests(secretOf(token)) == before {
			return fmt.Errorf("the token %s is not probed", token)
		}
		return nil
	})
	s.api.Set(secretOf(token), simulator.Valid)
	s.prometheus.Await(s.t, alertTimeout, map[string]float64{token: 1},
		fmt.Sprintf(`increase(appfigures_probes_total{token=%q, result="rejected"}[1m]) > bool 0`, token), "token")
}

// awaitEach waits until the last probe of each token had the result, except for the exhausted one, which is not probed.
func (s *stage) awaitEach(result string) {
	s.t.Helper()
	want := map[string]float64{}
	for _, token := range tokens {
		if token.name != "exhausted" {
			want[token.name] = 1
		}
	}
	s.prometheus.Await(s.t, alertTimeout, want,
		fmt.Sprintf(`appfigures_probe_result{result=%q, token!="exhausted"} == 1`, result), "token")
}

// dead selects the alert on the token dead.
const dead = `{alertname="AppfiguresTokenRejected", token="dead"}`

// checkStillDenied checks that the alert on the dead token fires and has fired without a gap.
func (s *stage) checkStillDenied() {
	s.t.Helper()
	s.prometheus.Await(s.t, alertTimeout, map[string]float64{firing: 1}, `ALERTS`+dead, "alertstate")
	s.prometheus.Await(s.t, alertTimeout, map[string]float64{"dead": 0},
		`changes(ALERTS_FOR_STATE`+dead+`[5m])`, "token")
}

// summaries are those of the notifications; an asterisk stands for any number.
var summaries = map[string]string{
	"AppfiguresTokenExpiringSoon/expiring/expiring":    "The token expiring expires within 14 days",
	"AppfiguresTokenSecretUnavailable/missing/missing": "The exporter cannot read the token missing",
	"AppfiguresTokenRejected/revoked/revoked":          "Appfigures rejects the token revoked",
	"AppfiguresTokenRejected/dead/dead":                "Appfigures rejects the token dead",
	"AppfiguresAccountLocked/lapsed":                   "Appfigures has locked the account lapsed out of the API",
	"AppfiguresTokenForbidden/forbidden/forbidden":     "Appfigures forbids the token forbidden to use the API",
	"AppfiguresQuotaExhausted/exhausted":               "The account exhausted has used up its Appfigures requests for today",
	"AppfiguresQuotaNearlyExhausted/spender":           "The account spender has used *% of its Appfigures requests today",
	"AppfiguresExporterConfigReloadFailed":             "The Appfigures exporter rejected its new configuration",
	"AppfiguresAPISlow":                                "The Appfigures API is slow",
	"AppfiguresTokenUnverified/failing/failing":        "The token failing could not be verified for an hour",
	"AppfiguresTokenUnverified/proxied/proxied":        "The token proxied could not be verified for an hour",
	"AppfiguresTokenUnverified/throttled/throttled":    "The token throttled could not be verified for an hour",
	"AppfiguresAPIDown":                                "The Appfigures API answers none of the tokens",
	"AppfiguresExporterDown":                           "The Appfigures exporter is down",
}

// broken matches what must not be in a text: what Prometheus leaves of a template that it cannot expand, and secrets.
var broken = regexp.MustCompile(`\{\{|\}\}|<no value>|<error|%!|NaN|pat_`)

// checkTexts checks that the texts are complete, name their subject, and link to a runbook that exists.
func (s *stage) checkTexts() {
	s.t.Helper()
	runbooks := harness.ReadWith(s.t, "docs/runbooks.md")
	s.receiver.mu.Lock()
	defer s.receiver.mu.Unlock()
	if len(s.receiver.invalid) > 0 {
		s.t.Errorf("not a notification: %q", s.receiver.invalid)
	}
	for subject, n := range s.receiver.last {
		if err := n.check(summaries[subject], runbooks); err != nil {
			s.t.Errorf("%s: %v; it is %+v", subject, err, n)
		}
	}
}

func (n notification) check(summary, runbooks string) error {
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(summary), `\*`, `[0-9.]+`) + "$"
	if got := n.Annotations["summary"]; !regexp.MustCompile(pattern).MatchString(got) {
		return fmt.Errorf("the summary must be %q", summary)
	}
	description := n.Annotations["description"]
	if broken.MatchString(description) || len(description) < 100 {
		return errors.New("the description is incomplete")
	}
	for _, label := range []string{"token", "account"} {
		if value := n.Labels[label]; !strings.Contains(description, value) {
			return fmt.Errorf("the description does not contain the %s", label)
		}
	}
	if token := n.Labels["token"]; token != "" && n.Labels["team"] != n.Labels["account"]+"-team" {
		return errors.New("it lacks the label that the configuration gives the token")
	}
	if severity := n.Labels["severity"]; severity != "critical" && severity != "warning" {
		return errors.New("no severity")
	}
	name := n.Labels["alertname"]
	if _, anchor, _ := strings.Cut(n.Annotations["runbook_url"], "docs/runbooks.md#"); anchor != strings.ToLower(name) {
		return errors.New("runbook_url is not the URL of its runbook")
	}
	if !strings.Contains(runbooks, "\n## "+name+"\n") {
		return errors.New("no runbook")
	}
	return nil
}
