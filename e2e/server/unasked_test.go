package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// TestTokenSentBackUnasked watches a token at an API that sends it back behind each answer, where no answer is due. It
// must not show up in the log, be it that of a library.
func TestTokenSentBackUnasked(t *testing.T) {
	const answer = `{"status":"200","user":{}}`
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
		fmt.Fprintf(conn, "You sent %s", r.Header.Get("Authorization"))
		awaitEnd(conn)
	}))
	t.Cleanup(api.Close)
	cmd := exec.Command(binary, "--web.listen-address="+exporter.AnyPort, "--log.level=debug")
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"APPFIGURES_API_KEY=" + secret, "APPFIGURES_API_BASE_URL=" + api.URL + "/v2/"}
	x := &target{Process: harness.StartProcess(t, "the exporter", cmd)}
	x.address = x.Address()
	for range 20 {
		if _, body := x.get(t, "/metrics"); !strings.Contains(body, `appfigures_token_valid{token="default"} 1`) {
			t.Fatalf("the token is not valid:\n%.500s", body)
		}
	}
	x.Stop()
	if log := x.Log(); strings.Contains(log, secret[:8]) {
		t.Errorf("the log holds the token:\n%s", log)
	}
}

// awaitEnd returns when the client has closed the connection, and closes it too.
func awaitEnd(conn net.Conn) {
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.Close()
}
