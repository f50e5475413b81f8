package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

const (
	statusPath      = "/api/v1/status"
	exporterTimeout = 10 * time.Second
	maxReport       = 64 << 20 // bytes: those of about 50,000 tokens
)

// FromExporter returns a function that loads the state from a running exporter. The URL may have a user and a password;
// no error quotes them.
func FromExporter(exporter string) (func(context.Context) (status.Report, error), error) {
	base, err := url.Parse(exporter)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("--exporter is not an http or https URL; use one such as http://localhost:10187")
	}
	return func(ctx context.Context) (status.Report, error) {
		ctx, cancel := context.WithTimeout(ctx, exporterTimeout)
		defer cancel()
		report, err := fetch(ctx, base)
		if err != nil {
			return status.Report{}, fmt.Errorf("loading the state from the exporter at %s: %w", base.Host, err)
		}
		return report, nil
	}, nil
}

// fetch requests the state. The error quotes neither the URL nor the response's body.
func fetch(ctx context.Context, base *url.URL) (report status.Report, err error) {
	target := base.JoinPath(statusPath)
	target.User = nil
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return report, errors.New("not a valid URL")
	}
	if user := base.User; user != nil {
		password, _ := user.Password()
		request.SetBasicAuth(user.Username(), password)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return report, readable(err)
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return report, errors.New("it requires a user and a password; use --exporter=http://USER:PASSWORD@HOST")
	default:
		return report, fmt.Errorf("%s responded with status %s", statusPath, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReport+1))
	switch {
	case err != nil:
		return report, readable(err)
	case len(body) > maxReport:
		return report, fmt.Errorf("the response is larger than %d MiB", maxReport>>20)
	case !strings.HasPrefix(response.Header.Get("Content-Type"), "application/json"),
		json.Unmarshal(body, &report) != nil, report.State == "":
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
		return fmt.Errorf("no complete response within %v", exporterTimeout)
	}
	return err
}
