package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// get sends one request through the handler. The response is nil if the connection is dropped.
func get(t *testing.T, api http.Handler, method, target, authorization string) (response *http.Response, body string) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	recorder := httptest.NewRecorder()
	defer func() {
		switch problem := recover(); problem {
		case nil:
		case http.ErrAbortHandler:
			response = nil
		default:
			panic(problem)
		}
	}()
	api.ServeHTTP(recorder, request)
	response = recorder.Result()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(data)
}

// TestBehaviors checks the response of each behavior: those that the vendor documents, as it documents them.
func TestBehaviors(t *testing.T) {
	const metered = "X-Request-Limit: 1000, X-Request-Usage: 1"
	const user = `{"status":"200","message":"OK","see":"http://docs.appfigures.com/api","version":"2.0",` +
		`"user":{"id":42,"name":"Owner of default","email":"owner-42@example.com",` +
		`"avatar_url":"https://secure.gravatar.com/avatar/bc52e6a2b02abc9b7e5a1464e6441d6f?d=mm"}`
	const usage = `,"usage":{"daily_used":1,"daily_limit":1000},"sequence":1,"source":"100"}`
	failure := func(status, message, additional string) string {
		return `{"status":` + status + `,"message":"` + message + `","additional":"` + additional + `","reference":""}`
	}
	tests := map[Behavior]struct {
		status  int
		headers string // those that vary
		body    string // its beginning
	}{
		Valid:               {200, metered, user + usage},
		Slow:                {200, metered, user + usage},
		Unmetered:           {200, "", user + "}"},
		Revoked:             {401, metered, failure("401", "Could not authenticate", "")},
		RevokedQuotingEmail: {401, metered, failure("401", "Could not authenticate: owner-42@example.com", "")},
		RevokedOnce:         {401, metered, failure("401", "Could not authenticate", "")},
		Rejected:            {403, metered, failure("403", "AccessToken invalid", "")},
		Locked: {403, metered, failure("403", "No API Access",
			"The authenticated account is locked due to an unpaid balance.")},
		Disabled: {403, metered, failure("403", "API Access is disabled",
			"API access has been disabled for this user due to API terms violation.")},
		Forbidden: {403, metered, `{"status":403,"message":"Forbidden","additional":"The client`},
		QuotaExhausted: {420, "X-Request-Limit: 1000, X-Request-Usage: 1000", `{"status":420,"message":"Chill Out!",` +
			`"additional":"used 1000 of 1000 daily requests","see_also":"https://appfigures.com/support/faq#/question/420"}`},
		RateLimited: {429, metered + ", Retry-After: 60", failure("429", "Too Many Requests", "")},
		ServerError: {503, metered, failure("503", "Service Unavailable", "Please try again later.")},
		Maintenance: {503, "", "<!DOCTYPE html>\n<html><head><title>Down for maintenance</title></head>"},
		ProxyPage:   {403, "", "<!DOCTYPE html>\n<html><head><title>Access denied</title></head>"},
		Redirect:    {302, "Location: /login", "<!DOCTYPE html>\n<html><head><title>Moved</title></head>"},
		Drop:        {},
	}
	now := func() time.Time { return time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC) }
	for _, behavior := range Behaviors() {
		if behavior == Hang {
			continue // see TestHang
		}
		t.Run(behavior.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want, listed := tests[behavior]
				api := New(Options{Now: now})
				api.Set("pat_1", behavior)
				response, body := get(t, api, "GET", "/v2/", "Bearer pat_1")
				if !listed || (response == nil) != (want.status == 0) {
					t.Fatalf("listed: %t; got %v", listed, response)
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
				if got := response.Header.Get("Date"); got != "Mon, 04 May 2026 12:00:00 GMT" {
					t.Errorf("got Date %q, want noon", got)
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

// TestRevokedOnce checks that one request is denied, and that it can be repeated.
func TestRevokedOnce(t *testing.T) {
	api := New(Options{})
	for range 2 {
		api.Set("pat_1", RevokedOnce)
		for i, want := range []int{401, 200, 200} {
			if response, _ := get(t, api, "GET", "/v2/", "Bearer pat_1"); response.StatusCode != want {
				t.Errorf("request %d: got status %d, want %d", i, response.StatusCode, want)
			}
		}
	}
}

// TestDailyLimit checks that all tokens and programs of an account share its limit until the UTC day ends.
func TestDailyLimit(t *testing.T) {
	now := time.Date(2026, 5, 4, 23, 59, 59, 0, time.UTC)
	api := New(Options{Now: func() time.Time { return now }})
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
		{func() { now = now.Add(time.Second) }, "pat_a1", 200, "1"}, // 00:00:00 UTC
		{func() { api.Use("a", 100) }, "pat_a1", 420, "6"},
		{func() { api.SetLimit("a", 3) }, "pat_a1", 420, "6"},
		{func() { api.SetLimit("a", 0); now = now.Add(24 * time.Hour) }, "pat_a1", 420, "0"},
	} {
		if step.before != nil {
			step.before()
		}
		response, body := get(t, api, "GET", "/v2/", "Bearer "+step.secret)
		if used := response.Header.Get("X-Request-Usage"); response.StatusCode != step.status || used != step.used {
			t.Fatalf("step %d: got status %d, used %q: %s", i, response.StatusCode, used, body)
		}
	}
	if used, limit := api.Quota("b"); used != 0 || limit != DefaultDailyLimit {
		t.Errorf("got quota of b %d of %d; its request was two days ago", used, limit)
	}
	if token, all := api.Requests("pat_a1"), api.TotalRequests(); token != 7 || all != 11 {
		t.Errorf("got %d requests of a token, %d in all", token, all)
	}
}

// TestDelays checks Options.Latency and SlowDelay.
func TestDelays(t *testing.T) {
	for _, test := range []struct {
		options       Options
		authorization string
		want          time.Duration
	}{
		{Options{}, "Bearer pat_valid", 0},
		{Options{}, "Bearer pat_slow", 2 * time.Second},
		{Options{Latency: time.Second, SlowDelay: time.Minute}, "Bearer pat_slow", 61 * time.Second},
		{Options{Latency: time.Second}, "Bearer pat_valid", time.Second},
		{Options{Latency: time.Second}, "Bearer pat_unknown", time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			api := New(test.options)
			api.Set("pat_valid", Valid)
			api.Set("pat_slow", Slow)
			start := time.Now()
			get(t, api, "GET", "/v2/", test.authorization)
			if got := time.Since(start); got != test.want {
				t.Errorf("%+v: answered after %v", test, got)
			}
		})
	}
}

// TestConcurrentUse runs requests and changes at the same time, for the race detector and the counts.
func TestConcurrentUse(t *testing.T) {
	const clients, each = 8, 100
	api := New(Options{})
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for i := range each {
				api.Set("pat_1", []Behavior{Valid, Unmetered, Locked}[i%3])
				api.SetAccount("pat_1", "shared")
				get(t, api, "GET", "/v2/", "Bearer pat_1")
				api.Use("shared", 1)
			}
		})
	}
	group.Wait()
	if token, all := api.Requests("pat_1"), api.TotalRequests(); token != clients*each || all != token {
		t.Errorf("got %d requests of the token and %d in all, want %d", token, all, clients*each)
	}
}
