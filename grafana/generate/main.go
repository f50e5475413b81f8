// Command generate makes Grafana's alert rules from those of Prometheus. go generate runs it in internal/alerts.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/appfigures-exporter/appfigures_exporter/internal/alerts"
)

func main() {
	log.SetFlags(0)
	repository := filepath.Join("..", "..")
	text, err := alerts.GrafanaFile(repository)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repository, alerts.GrafanaPath), text, 0o644); err != nil {
		log.Fatal(err)
	}
}
