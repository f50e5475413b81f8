package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// TestUnsolicitedToken has an API that sends the token back after each response. It must not appear in the log, not
// even in that of a library.
func TestUnsolicitedToken(t *testing.T) {
	const body = `{"status":"200","user":{}}`
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		fmt.Fprintf(conn, "You sent %s", r.Header.Get("Authorization"))
		awaitEnd(conn)
	}))
	t.Cleanup(api.Close)
	x := harness.StartExporter(t, fmt.Sprintf("api_url: %s/v2/\n%stokens: [{name: watched, token: %s}]\n",
		api.URL, harness.Unpaced, secret), "--log.level=debug")
	for i := range 20 {
		valid := fmt.Sprintf(`appfigures_probes_total{result="valid",token="watched"} %d`, i+1)
		if err := harness.Expect(x.Scrape(), `appfigures_token_valid{token="watched"} 1`, valid); err != nil {
			t.Fatal(err)
		}
	}
	x.Stop()
	if log := x.Log(); strings.Contains(log, secret[:8]) {
		t.Errorf("the log contains the token:\n%s", log)
	}
}

// awaitEnd returns when the client has closed the connection, and closes it too.
func awaitEnd(conn net.Conn) {
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.Close()
}
