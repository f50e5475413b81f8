package harness

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// Webhook receives what Alertmanager sends.
type Webhook struct {
	URL string

	mu       sync.Mutex              // guards the fields below
	statuses map[string]string       // see Statuses
	last     map[string]Notification // by the same keys
}

// Notification is about one alert.
type Notification struct {
	Status              string
	Labels, Annotations map[string]string
}

// NewWebhook returns a webhook at an IP address of this machine.
func NewWebhook(t testing.TB, ip string) *Webhook {
	t.Helper()
	listener, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Webhook{statuses: map[string]string{}, last: map[string]Notification{}}
	server := httptest.NewUnstartedServer(w)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	w.URL = server.URL + "/"
	return w
}

func (w *Webhook) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	var message struct{ Alerts []Notification }
	if err := json.NewDecoder(request.Body).Decode(&message); err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range message.Alerts {
		key := fmt.Sprintf("%s/%s/%s/%s", n.Labels["alertname"], n.Labels["account"], n.Labels["token"], n.Labels["team"])
		if before := w.last[key].Status; before == "" {
			w.statuses[key] = n.Status
		} else if before != n.Status { // a message has all alerts of its group, also those without news
			w.statuses[key] += ", " + n.Status
		}
		w.last[key] = n
	}
}

// Statuses returns those of each alert in turn, such as "firing, resolved", by ALERTNAME/ACCOUNT/TOKEN/TEAM.
func (w *Webhook) Statuses() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.statuses)
}

// Last returns the last notification of each alert.
func (w *Webhook) Last() []Notification {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.last))
}
