package bench

import (
	"net/http"
	"os"
	"testing"
	"time"
)

func TestProfile(t *testing.T) {
	l := load{tokens: 1000, concurrency: 50}
	api := startAPI(t, l)
	x := startExporter(t, api, l)
	b := startBare(t, api, l)
	for range 3 {
		compare([]*contender{x.contender, b}, l)
	}
	stop := make(chan bool)
	go func() {
		out, err := read(http.Get(os.Getenv("NONE") + "http://" + pprofAddress + "/debug/pprof/profile?seconds=15"))
		if err != nil {
			t.Error(err)
		}
		os.WriteFile("/tmp/cpu.prof", out, 0o644)
		close(stop)
	}()
	deadline := time.Now().Add(16 * time.Second)
	for time.Now().Before(deadline) {
		x.round()
	}
	<-stop
	out, _ := read(http.Get("http://" + pprofAddress + "/debug/pprof/allocs"))
	os.WriteFile("/tmp/allocs.prof", out, 0o644)
	for _, c := range []*contender{x.contender, b} {
		t.Log(c.name, median(c.cpu))
	}
}

var pprofAddress string
