package prometheus

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// receiver is the webhook that Alertmanager sends notifications to.
type receiver struct {
	url string

	mu       sync.Mutex              // guards the fields below
	statuses map[string]string       // of each alert in turn: "firing", "firing, resolved" and so on
	last     map[string]notification // the last notification of each alert
	invalid  []string                // requests that are not notifications
}

// notification is about one alert.
type notification struct {
	Status              string
	Labels, Annotations map[string]string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{statuses: map[string]string{}, last: map[string]notification{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL + "/"
	return r
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, request *http.Request) {
	var message struct{ Alerts []notification }
	err := json.NewDecoder(request.Body).Decode(&message)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || len(message.Alerts) == 0 {
		r.invalid = append(r.invalid, fmt.Sprintf("%d alerts: %v", len(message.Alerts), err))
	}
	for _, n := range message.Alerts {
		key := n.subject()
		switch before := r.last[key].Status; before {
		case n.Status: // a message has all alerts of its group, also those without news
		case "":
			r.statuses[key] = n.Status
		default:
			r.statuses[key] += ", " + n.Status
		}
		r.last[key] = n
	}
}

// subject identifies the alert: its name, account and token.
func (n notification) subject() string {
	names := []string{n.Labels["alertname"], n.Labels["account"], n.Labels["token"]}
	return strings.Join(slices.DeleteFunc(names, func(name string) bool { return name == "" }), "/")
}

// await waits until exactly these notifications have come, by subject.
func (r *receiver) await(t *testing.T, timeout time.Duration, want map[string]string) {
	t.Helper()
	harness.Until(t, timeout, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if difference := harness.Difference(r.statuses, want); difference != "" {
			return fmt.Errorf("notifications:\n%s", difference)
		}
		return nil
	})
}
