// Package alerts holds the proof that the alerts tell the truth: a real Prometheus with the shipped rules and a real
// Alertmanager with the shipped configuration watch a simulated API that revokes, locks, throttles, fails, hangs and
// recovers, and a webhook hears of just that.
package prometheus

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// patience is how long a notification may take: the longest wait of the rules is a minute and a quarter, see
// [faster].
const patience = 2 * time.Minute

const (
	firing   = "firing"
	resolved = "firing, resolved"
)

// TestNotifications is one story in scenes. After each, all notifications there were since the beginning are
// compared with all that should have been, so that one that comes too much, or too early, is found by the next scene at
// the latest.
func TestNotifications(t *testing.T) {
	s := setStage(t, map[string]simulator.Behaviour{"failing": simulator.ServerError, "proxied": simulator.ProxyPage})
	told := map[string]string{}
	tell := func(scene string, news map[string]string) {
		t.Helper()
		maps.Copy(told, news)
		t.Logf("%s: awaiting %v", scene, news)
		s.receiver.await(t, patience, told)
	}
	set := func(behaviours map[string]simulator.Behaviour) {
		for token, behaviour := range behaviours {
			s.api.Set(secretOf(token), behaviour)
		}
	}
	all := func(behaviour simulator.Behaviour) {
		for _, token := range tokens {
			set(map[string]simulator.Behaviour{token.name: behaviour})
		}
	}

	tell("what is wrong at the start", map[string]string{
		"AppfiguresTokenExpiringSoon/expiring":     firing,
		"AppfiguresTokenSecretUnavailable/missing": firing,
	})
	write(t, s.secretFile(), secretOf("missing"))
	s.answerOnce("odd", simulator.Revoked)
	set(map[string]simulator.Behaviour{
		"revoked": simulator.Revoked, "dead": simulator.Rejected, "first": simulator.Locked, "second": simulator.Disabled,
		"forbidden": simulator.Forbidden, "throttled": simulator.SlowDown, "exhausted": simulator.DailyLimit,
	})
	s.api.Use("spender", usedByOther)
	s.reconfigure("tokens:", "tokenz:")
	tell("the API denies and limits, the configuration has a mistake", map[string]string{
		"AppfiguresTokenSecretUnavailable/missing": resolved,
		"AppfiguresTokenRejected/revoked":          firing,
		"AppfiguresTokenRejected/dead":             firing,
		"AppfiguresAccountLocked/lapsed":           firing,
		"AppfiguresTokenForbidden/forbidden":       firing,
		"AppfiguresQuotaExhausted/exhausted":       firing,
		"AppfiguresQuotaNearlyExhausted/spender":   firing,
		"AppfiguresExporterConfigReloadFailed":     firing,
	})

	s.reconfigure("tokenz:", "tokens:")
	s.reconfigure(inDays(5), inDays(50))
	s.api.SetLimit("spender", 2*limit)
	all(simulator.Slow)
	set(map[string]simulator.Behaviour{
		"dead": simulator.Rejected, "exhausted": simulator.DailyLimit,
		"failing": simulator.ServerError, "proxied": simulator.ProxyPage,
	})
	tell("most is well again, but slow, and two tokens never get an answer", map[string]string{
		"AppfiguresTokenRejected/revoked":           resolved,
		"AppfiguresAccountLocked/lapsed":            resolved,
		"AppfiguresTokenForbidden/forbidden":        resolved,
		"AppfiguresQuotaNearlyExhausted/spender":    resolved,
		"AppfiguresExporterConfigReloadFailed":      resolved,
		"AppfiguresTokenExpiringSoon/expiring":      resolved,
		"AppfiguresAPISlow":                         firing,
		"AppfiguresTokenUnverified/failing/failing": firing,
		"AppfiguresTokenUnverified/proxied/proxied": firing,
	})

	all(simulator.Valid)
	set(map[string]simulator.Behaviour{"dead": simulator.Rejected, "exhausted": simulator.DailyLimit})
	tell("all is well but for two", map[string]string{
		"AppfiguresAPISlow":                         resolved,
		"AppfiguresTokenUnverified/failing/failing": resolved,
		"AppfiguresTokenUnverified/proxied/proxied": resolved,
	})

	all(simulator.Hang)
	s.awaitEach("timeout")
	all(simulator.Drop)
	s.awaitEach("unreachable")
	all(simulator.ServerError)
	s.awaitEach("server_error")
	all(simulator.ProxyPage)
	s.awaitEach("unexpected")
	s.api.Close()
	tell("an outage of every kind", map[string]string{"AppfiguresAPIDown": firing})
	s.testStands()

	s.api.Open()
	all(simulator.Valid)
	set(map[string]simulator.Behaviour{"dead": simulator.Rejected, "exhausted": simulator.DailyLimit})
	tell("the outage is over", map[string]string{"AppfiguresAPIDown": resolved})

	s.watcher.Stop()
	tell("the exporter is down", map[string]string{"AppfiguresExporterDown": firing})
	s.testStands()
	all(simulator.ServerError)
	set(map[string]simulator.Behaviour{"exhausted": simulator.DailyLimit})
	s.startExporter(s.watcher.Address)
	tell("the exporter is back, and has no answer yet", map[string]string{"AppfiguresExporterDown": resolved})
	s.testStands()

	all(simulator.Valid)
	tell("all is well, but nobody asks for the exhausted account before midnight", map[string]string{"AppfiguresTokenRejected/dead": resolved})

	s.watcher.Stop() // an exporter that starts anew asks at once
	s.startExporter(s.watcher.Address)
	tell("all is well", map[string]string{"AppfiguresQuotaExhausted/exhausted": resolved})
	s.prometheus.Await(t, patience, map[string]float64{}, `ALERTS`, "alertname")
	s.receiver.await(t, patience, told)
	s.testTexts()
}

// answerOnce lets the token be answered so just once.
func (s *stage) answerOnce(token string, behaviour simulator.Behaviour) {
	s.t.Helper()
	before := s.api.Requests(secretOf(token))
	s.api.Set(secretOf(token), behaviour)
	harness.Until(s.t, patience, func() error {
		if s.api.Requests(secretOf(token)) == before {
			return fmt.Errorf("the token %s is not probed", token)
		}
		return nil
	})
	s.api.Set(secretOf(token), simulator.Valid)
	s.prometheus.Await(s.t, patience, map[string]float64{token: 1},
		fmt.Sprintf(`increase(appfigures_probes_total{token=%q, result="rejected"}[1m]) > bool 0`, token), "token")
}

// awaitEach waits until the last probe of each token had the result, but for those that the API told to wait.
func (s *stage) awaitEach(result string) {
	s.t.Helper()
	want := map[string]float64{}
	for _, token := range tokens {
		if token.name != "exhausted" && token.name != "throttled" {
			want[token.name] = 1
		}
	}
	s.prometheus.Await(s.t, patience, want,
		fmt.Sprintf(`appfigures_probe_result{result=%q, token!~"exhausted|throttled"} == 1`, result), "token")
}

// testStands checks that Prometheus has not let go of the alert on the dead token, be it for a moment: it fires, and
// since the same time as ever.
func (s *stage) testStands() {
	s.t.Helper()
	const dead = `{alertname="AppfiguresTokenRejected", token="dead"}`
	s.prometheus.Await(s.t, patience, map[string]float64{firing: 1}, `ALERTS`+dead, "alertstate")
	s.prometheus.Await(s.t, patience, map[string]float64{"dead": 0}, `changes(ALERTS_FOR_STATE`+dead+`[5m])`, "token")
}

// summaries is what people read first of each alert; an asterisk stands for any figure.
var summaries = map[string]string{
	"AppfiguresTokenExpiringSoon/expiring":      "The token expiring expires within 14 days",
	"AppfiguresTokenSecretUnavailable/missing":  "The exporter cannot read the token missing",
	"AppfiguresTokenRejected/revoked":           "Appfigures rejects the token revoked",
	"AppfiguresTokenRejected/dead":              "Appfigures rejects the token dead",
	"AppfiguresAccountLocked/lapsed":            "Appfigures has locked the account lapsed out of the API",
	"AppfiguresTokenForbidden/forbidden":        "Appfigures forbids the token forbidden to use the API",
	"AppfiguresQuotaExhausted/exhausted":        "The account exhausted has used up its Appfigures requests for today",
	"AppfiguresQuotaNearlyExhausted/spender":    "The account spender has used *% of its Appfigures requests today",
	"AppfiguresExporterConfigReloadFailed":      "The Appfigures exporter refuses its new configuration",
	"AppfiguresAPISlow":                         "The Appfigures API is slow",
	"AppfiguresTokenUnverified/failing/failing": "Nobody knows whether the token failing works",
	"AppfiguresTokenUnverified/proxied/proxied": "Nobody knows whether the token proxied works",
	"AppfiguresAPIDown":                         "The Appfigures API answers none of the tokens",
	"AppfiguresExporterDown":                    "The Appfigures exporter is down",
}

// spoilt is what a text must not hold: what Prometheus leaves of a template that it cannot fill in, and secrets.
var spoilt = regexp.MustCompile(`\{\{|\}\}|<no value>|<error|%!|NaN|pat_`)

// testTexts checks that what people read is whole, names what it is about, and leads to a runbook that is there.
func (s *stage) testTexts() {
	s.t.Helper()
	runbooks, err := os.ReadFile(filepath.Join(harness.Root, "docs", "runbooks.md"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.receiver.mu.Lock()
	defer s.receiver.mu.Unlock()
	if len(s.receiver.wrong) > 0 {
		s.t.Errorf("not a notification: %q", s.receiver.wrong)
	}
	for subject, n := range s.receiver.texts {
		if err := n.check(summaries[subject], string(runbooks)); err != nil {
			s.t.Errorf("%s: %v; it is %+v", subject, err, n)
		}
	}
}

func (n notification) check(summary, runbooks string) error {
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(summary), `\*`, `[0-9.]+`) + "$"
	if got := n.Annotations["summary"]; !regexp.MustCompile(pattern).MatchString(got) {
		return fmt.Errorf("the summary is not %q", summary)
	}
	description := n.Annotations["description"]
	if spoilt.MatchString(description) || len(description) < 100 {
		return errors.New("the description is not whole")
	}
	for _, label := range []string{"token", "account"} {
		if value := n.Labels[label]; !strings.Contains(description, value) {
			return fmt.Errorf("the description does not name the %s", label)
		}
	}
	if severity := n.Labels["severity"]; severity != "critical" && severity != "warning" {
		return errors.New("it has no severity")
	}
	name := n.Labels["alertname"]
	if _, anchor, _ := strings.Cut(n.Annotations["runbook_url"], "docs/runbooks.md#"); anchor != strings.ToLower(name) {
		return errors.New("runbook_url does not lead to its runbook")
	}
	if !strings.Contains(runbooks, "\n## "+name+"\n") {
		return errors.New("it has no runbook")
	}
	return nil
}
