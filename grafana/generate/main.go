// Command generate makes Grafana's alert rules from those of Prometheus. go generate runs it in grafana/.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/appfigures-exporter/appfigures_exporter/grafana"
)

func main() {
	log.SetFlags(0)
	const repository = ".."
	text, err := grafana.GrafanaFile(repository)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repository, grafana.GrafanaPath), text, 0o644); err != nil {
		log.Fatal(err)
	}
}
