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

// receiver is the webhook that Alertmanager tells of alerts: the person on call.
type receiver struct {
	url string

	mu    sync.Mutex
	heard map[string]string       // guarded by mu; what was told of each alert: "firing", then "firing, resolved" and so on
	texts map[string]notification // guarded by mu; as last told
	wrong []string                // guarded by mu; what was no notification
}

// notification is what Alertmanager tells of one alert.
type notification struct {
	Status              string
	Labels, Annotations map[string]string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{heard: map[string]string{}, texts: map[string]notification{}}
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
		r.wrong = append(r.wrong, fmt.Sprintf("%d alerts: %v", len(message.Alerts), err))
	}
	for _, n := range message.Alerts {
		key := n.subject()
		switch before := r.texts[key].Status; before {
		case n.Status: // a message names all alerts of its group, also those told of before
		case "":
			r.heard[key] = n.Status
		default:
			r.heard[key] += ", " + n.Status
		}
		r.texts[key] = n
	}
}

// subject is what the alert is called and what it is about.
func (n notification) subject() string {
	names := []string{n.Labels["alertname"], n.Labels["account"], n.Labels["token"]}
	return strings.Join(slices.DeleteFunc(names, func(name string) bool { return name == "" }), "/")
}

// await waits until just these notifications have come, by subject.
func (r *receiver) await(t *testing.T, patience time.Duration, want map[string]string) {
	t.Helper()
	harness.Until(t, patience, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if difference := harness.Difference(r.heard, want); difference != "" {
			return fmt.Errorf("notifications are not as they should be:\n%s", difference)
		}
		return nil
	})
}
