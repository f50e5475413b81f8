package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// startBlackbox starts a blackbox_exporter with a module for each token, as it needs, and returns a function that
// probes all.
func (b *bench) startBlackbox(binary string, api simulated, l load) (*process, func() error, error) {
	var config strings.Builder
	config.WriteString("modules:\n")
	for i := range l.tokens {
		fmt.Fprintf(&config, "  token-%05d: {prober: http, http: {bearer_token: %s, tls_config: {ca_file: %s}}}\n", i, secret(i), api.certificate)
	}
	file := filepath.Join(b.dir, "blackbox.yml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		return nil, nil, err
	}
	p, err := start(b.ctx, binary, "--config.file="+file, "--web.listen-address=127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: l.atOnce}}
	return p, func() error {
		return each(l.tokens, l.atOnce, func(i int) error {
			probe := fmt.Sprintf("http://%s/probe?module=token-%05d&target=%s", p.address, i, url.QueryEscape(api.address))
			metrics, _, err := scrape(client, probe)
			if err == nil && !strings.Contains(metrics, "\nprobe_success 1") {
				err = errors.New("a probe failed:\n" + metrics)
			}
			return err
		})
	}, nil
}

// findBlackbox returns the path of blackbox_exporter; "" when there is none. Debian calls it by the second name.
func findBlackbox() string {
	for _, name := range []string{"blackbox_exporter", "prometheus-blackbox-exporter"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
