package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	promconfig "github.com/prometheus/common/config"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

const (
	statusPath = "/api/v1/status"
	maxBytes   = 64 << 20 // of the state: enough for 10,000 tokens
)

// quoted is how yaml quotes values in its errors.
var quoted = regexp.MustCompile("`[^`]*`")

// FromExporter returns a loader of the state from a running exporter. httpConfigFile says how to authenticate and whom
// to trust, in the format of promtool's --http.config.file; empty: the defaults. No error quotes a password.
func FromExporter(exporter, httpConfigFile string) (Loader, error) {
	target, err := url.Parse(strings.TrimSuffix(exporter, "/") + statusPath)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return nil, errors.New("--exporter is not an http or https URL; use one such as http://localhost:10187")
	}
	httpConfig := &promconfig.DefaultHTTPClientConfig
	if httpConfigFile != "" {
		if httpConfig, _, err = promconfig.LoadHTTPConfigFile(httpConfigFile); err != nil {
			return nil, fmt.Errorf("reading --http.config.file: %s", quoted.ReplaceAllString(err.Error(), "a value"))
		}
	}
	client, err := promconfig.NewClientFromConfig(*httpConfig, "appfigures_exporter")
	if err != nil {
		return nil, fmt.Errorf("using --http.config.file: %w", err)
	}
	return func(ctx context.Context) (status.Report, []*dto.MetricFamily, error) {
		report, err := fetch(ctx, client, target)
		if err != nil {
			err = fmt.Errorf("loading the state from the exporter at %s: %w", target.Host, err)
		}
		return report, nil, err
	}, nil
}

// fetch requests the state. The error quotes neither the URL nor the response.
func fetch(ctx context.Context, client *http.Client, target *url.URL) (report status.Report, err error) {
	request := &http.Request{Method: http.MethodGet, URL: target, Header: make(http.Header)}
	response, err := client.Do(request.WithContext(ctx))
	if err != nil {
		return report, readable(err)
	}
	defer func() { _ = response.Body.Close() }()
	switch code := response.StatusCode; code {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return report, fmt.Errorf("%s responded with 401 Unauthorized; --http.config.file gives the password", statusPath)
	default:
		return report, fmt.Errorf("%s responded with %d %s", statusPath, code, http.StatusText(code))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBytes))
	if err != nil {
		return report, readable(err)
	}
	unknown := func(t status.Token) bool { return !slices.Contains(status.States(), t.State) }
	if json.Unmarshal(body, &report) != nil || len(report.Tokens) == 0 || slices.ContainsFunc(report.Tokens, unknown) {
		return report, errors.New("the response is not the state of an appfigures_exporter")
	}
	return report, nil
}

// readable returns an error of the HTTP client without the URL, which the message around it names.
func readable(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no complete response in time; --timeout sets how long to wait")
	}
	return err
}
