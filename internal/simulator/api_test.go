package simulator

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// get sends one request through the handler, and gives up after a minute. The response is nil if there is none.
func get(t *testing.T, api http.Handler, method, target, authorization string) (response *http.Response, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request := httptest.NewRequestWithContext(ctx, method, target, nil)
	request.Header.Set("Authorization", authorization)
	recorder := httptest.NewRecorder()
	defer func() {
		if problem := recover(); problem != nil && problem != http.ErrAbortHandler {
			panic(problem)
		}
	}()
	api.ServeHTTP(recorder, request)
	return recorder.Result(), recorder.Body.String()
}

// TestBehaviors checks the response of each behavior: those that the vendor documents, as it documents them.
func TestBehaviors(t *testing.T) {
	const metered = "X-Request-Limit: 1000, X-Request-Usage: 1"
	const root = `{"status":"200","message":"OK","see":"http://docs.appfigures.com/api","version":"2.0",` +
		`"user":{"id":42,"name":"Owner of default","email":"owner-42@example.com",` +
		`"avatar_url":"https://secure.gravatar.com/avatar/bc52e6a2b02abc9b7e5a1464e6441d6f?d=mm"},` +
		`"usage":{"daily_used":1,"daily_limit":1000},"sequence":28,"source":"100"}`
	failure := func(status, message, additional string) string {
		return `{"status":` + status + `,"message":"` + message + `","additional":"` + additional + `","reference":""}`
	}
	tests := map[Behavior]struct {
		status  int
		headers string // those that vary
		body    string // its beginning
	}{
		Valid:    {200, metered, root},
		Slow:     {200, metered, root},
		Revoked:  {401, metered, failure("401", "Could not authenticate", "")},
		Rejected: {403, metered, failure("403", "AccessToken invalid", "")},
		Locked: {403, metered, failure("403", "No API Access",
			"The authenticated account is locked due to an unpaid balance.")},
		Forbidden: {403, metered, `{"status":403,"message":"Forbidden","additional":"The client`},
		QuotaExhausted: {420, "X-Request-Limit: 1000, X-Request-Usage: 1000", `{"status":420,"message":"Chill Out!",` +
			`"additional":"used 1000 of 1000 daily requests","see_also":"https://appfigures.com/support/faq#/question/420"}`},
		RateLimited: {429, metered + ", Retry-After: 60", failure("429", "Too Many Requests", "")},
		ServerError: {503, metered, failure("503", "Service Unavailable", "Please try again later.")},
		ProxyPage:   {403, "", "<!DOCTYPE html>\n<html><head><title>Access denied</title></head>"},
		Redirect:    {302, "Location: /login", "<!DOCTYPE html>\n<html><head><title>Moved</title></head>"},
		Drop:        {},
		Hang:        {},
	}
	after := map[Behavior]time.Duration{Slow: 3 * time.Second, Hang: time.Minute} // others after the latency
	for _, behavior := range Behaviors() {
		t.Run(behavior.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want, listed := tests[behavior]
				api := New(Options{Latency: time.Second})
				api.Set("pat_1", behavior)
				start := time.Now()
				response, body := get(t, api, "GET", "/v2/", "Bearer pat_1")
				if took := time.Since(start); !listed || (response == nil) != (want.status == 0) ||
					took != max(after[behavior], time.Second) {
					t.Fatalf("listed: %t; got %v after %s", listed, response, took)
				}
				if response == nil {
					return
				}
				if response.StatusCode != want.status || !strings.HasPrefix(body, want.body) {
					t.Errorf("got  %d %s\nwant %d %s", response.StatusCode, body, want.status, want.body)
				}
				if got := varying(response.Header); got != want.headers {
					t.Errorf("got headers %q, want %q", got, want.headers)
				}
				claimed := strings.HasPrefix(response.Header.Get("Content-Type"), "application/json")
				if isJSON := json.Valid([]byte(body)); claimed != isJSON {
					t.Errorf("Content-Type claims JSON: %t; the body is JSON: %t", claimed, isJSON)
				}
			})
		})
	}
}

// varying lists the headers that differ between behaviors.
func varying(header http.Header) string {
	var found []string
	for _, name := range []string{"X-Request-Limit", "X-Request-Usage", "Retry-After", "Location"} {
		if value := header.Get(name); value != "" {
			found = append(found, name+": "+value)
		}
	}
	return strings.Join(found, ", ")
}

// TestRequests checks which requests reach the root as a token's.
func TestRequests(t *testing.T) {
	for _, test := range []struct {
		method, target, authorization string
		status                        int
		quota                         string
	}{
		{"GET", "/v2/", "Bearer pat_1", 200, "1000"},
		{"GET", "/v2", "Bearer pat_1", 200, "1000"},
		{"GET", "/v2/", "", 401, ""},
		{"GET", "/v2/", "Basic pat_1", 401, ""},
		{"GET", "/v2/", "Bearer pat_2", 401, ""},
		{"GET", "/v2/usage", "Bearer pat_1", 404, "1000"},
		{"GET", "/v20", "Bearer pat_1", 404, "1000"},
		{"POST", "/v2/", "Bearer pat_1", 404, "1000"},
	} {
		api := New(Options{})
		api.Set("pat_1", Valid)
		response, body := get(t, api, test.method, test.target, test.authorization)
		if quota := response.Header.Get("X-Request-Limit"); response.StatusCode != test.status || quota != test.quota {
			t.Errorf("%v: got %d, quota %q: %s", test, response.StatusCode, quota, body)
		}
	}
}

// TestDailyLimit checks that all tokens and programs of an account share its limit until the UTC day ends.
func TestDailyLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it begins at midnight UTC
		api := New(Options{})
		for secret, account := range map[string]string{"pat_a1": "a", "pat_a2": "a", "pat_a3": "a", "pat_b": "b"} {
			api.SetAccount(secret, account)
		}
		api.Set("pat_a3", Revoked)
		api.SetLimit("a", 5)
		api.Use("a", 2)
		for i, step := range []struct {
			before func()
			secret string
			status int
			used   string
		}{
			{nil, "pat_a1", 200, "3"},
			{nil, "pat_a2", 200, "4"},
			{nil, "pat_a3", 401, "5"},
			{nil, "pat_a1", 420, "5"},
			{nil, "pat_a3", 401, "5"},
			{nil, "pat_b", 200, "1"},
			{func() { api.SetLimit("a", 6) }, "pat_a1", 200, "6"},
			{func() { time.Sleep(24*time.Hour - time.Nanosecond) }, "pat_a1", 420, "6"},
			{func() { time.Sleep(time.Nanosecond) }, "pat_a1", 200, "1"},
			{func() { api.Use("a", 100) }, "pat_a1", 420, "6"},
		} {
			if step.before != nil {
				step.before()
			}
			response, body := get(t, api, "GET", "/v2/", "Bearer "+step.secret)
			if used := response.Header.Get("X-Request-Usage"); response.StatusCode != step.status || used != step.used {
				t.Fatalf("step %d: got status %d, used %q: %s", i, response.StatusCode, used, body)
			}
		}
		if token, all := api.Requests("pat_a1"), api.TotalRequests(); token != 6 || all != 10 {
			t.Errorf("got %d requests of a token, %d in all", token, all)
		}
	})
}
