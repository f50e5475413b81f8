package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"unicode"

	dto "github.com/prometheus/client_model/go"
	promconfig "github.com/prometheus/common/config"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

const (
	statusPath = "/api/v1/status"
	maxReport  = 64 << 20 // bytes: those of more than 10,000 tokens
)

// quoted is how yaml quotes values in its errors.
var quoted = regexp.MustCompile("`[^`]*`")

// FromExporter returns a function for [Options.Load] that loads the state from a running exporter. httpConfigFile says
// how to authenticate and whom to trust, in the format of promtool's --http.config.file; empty: the defaults. No error
// quotes what may be a password.
func FromExporter(exporter, httpConfigFile string) (
	load func(context.Context) (status.Report, []*dto.MetricFamily, error), err error,
) {
	base, err := url.Parse(exporter)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
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
		report, err := fetch(ctx, client, base.JoinPath(statusPath).String())
		if err != nil {
			err = fmt.Errorf("loading the state from the exporter at %s: %w", base.Host, err)
		}
		return report, nil, err
	}, nil
}

// fetch requests the state. The error quotes neither the URL nor the response's body.
func fetch(ctx context.Context, client *http.Client, target string) (report status.Report, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return report, errors.New("not a valid URL")
	}
	response, err := client.Do(request)
	if err != nil {
		return report, readable(err)
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return report, errors.New("it requires other credentials; put them into a file for --http.config.file")
	default:
		return report, fmt.Errorf("%s responded with status %d", statusPath, response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReport+1))
	switch {
	case err != nil:
		return report, readable(err)
	case len(body) > maxReport:
		return report, fmt.Errorf("the response is larger than %d MiB", maxReport>>20)
	}
	err = json.Unmarshal(body, &report)
	stateless := func(t status.Token) bool { return !slices.Contains(status.States(), t.State) }
	again, _ := json.Marshal(report) // escapes the control characters of ASCII
	if err != nil || report.State == "" || slices.ContainsFunc(report.Tokens, stateless) ||
		bytes.ContainsFunc(again, unicode.IsControl) {
		return status.Report{}, errors.New("the response is not the state of an appfigures_exporter")
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
