package simulator

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// noon is the middle of a UTC day.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func fixed(now time.Time) func() time.Time { return func() time.Time { return now } }

// ask sends one request through the handler. The response is nil if the connection is dropped.
func ask(t *testing.T, api http.Handler, method, target, authorization string) (response *http.Response, body string) {
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

const owner = `{"id":42,"name":"Owner of default","email":"owner-1@example.com",` +
	`"avatar_url":"https://secure.gravatar.com/avatar/92f1ffa33d4a4b7e5202e3ffbfa8df93?d=mm"}`

func TestAnswerOfEachBehavior(t *testing.T) {
	const metered = "X-Request-Limit: 1000, X-Request-Usage: 1"
	const success = `{"status":"200","message":"OK","see":"http://docs.appfigures.com/api","version":"2.0","user":` + owner
	const usage = `,"usage":{"daily_used":1,"daily_limit":1000},"sequence":1,"source":"100"}`
	tests := map[Behavior]struct {
		status  int
		headers string // those that vary
		body    string
	}{
		Valid:     {200, metered, success + usage},
		Slow:      {200, metered, success + usage},
		Unmetered: {200, "", success + "}"},
		Revoked:   {401, metered, `{"status":401,"message":"Could not authenticate","additional":"","reference":""}`},
		RevokedQuotingEmail: {401, metered,
			`{"status":401,"message":"Could not authenticate: owner-1@example.com","additional":"","reference":""}`},
		RevokedOAuth: {401, metered + `, WWW-Authenticate: Bearer realm="appfigures", error="invalid_token", ` +
			`error_description="The access token was revoked."`,
			`{"error":"invalid_token","error_description":"The access token was revoked."}`},
		RevokedBare: {401, `WWW-Authenticate: Bearer realm="appfigures", error="invalid_token"`, ""},
		RevokedOnce: {401, metered, `{"status":401,"message":"Could not authenticate","additional":"","reference":""}`},
		Rejected:    {403, metered, `{"status":403,"message":"AccessToken invalid","additional":"","reference":""}`},
		Locked: {403, metered, `{"status":403,"message":"No API Access",` +
			`"additional":"The authenticated account is locked due to an unpaid balance.","reference":""}`},
		Disabled: {403, metered, `{"status":403,"message":"API Access is disabled",` +
			`"additional":"API access has been disabled for this user due to API terms violation.","reference":""}`},
		Forbidden: {403, metered, `{"status":403,"message":"Forbidden",` +
			`"additional":"The client that issued this token lacks the scope account:read.","reference":""}`},
		DailyLimit: {420, "X-Request-Limit: 1000, X-Request-Usage: 1000", `{"status":420,"message":"Chill Out!",` +
			`"additional":"used 1000 of 1000 daily requests","see_also":"https://appfigures.com/support/faq#/question/420"}`},
		SlowDown: {429, metered + ", Retry-After: 60",
			`{"status":429,"message":"Too Many Requests","additional":"","reference":""}`},
		SlowDownUntimed: {429, metered, `{"status":429,"message":"Too Many Requests","additional":"","reference":""}`},
		ServerError: {503, metered,
			`{"status":503,"message":"Service Unavailable","additional":"Please try again later.","reference":""}`},
		Maintenance: {503, "", "<!DOCTYPE html>\n<html><head><title>Down for maintenance</title></head>" +
			"<body><h1>Down for maintenance</h1><p>We will be back soon.</p></body></html>\n"},
		ProxyPage: {403, "", "<!DOCTYPE html>\n<html><head><title>Access denied</title></head>" +
			"<body><h1>Access denied</h1><p>This network does not allow this address.</p></body></html>\n"},
		Redirect: {302, "Location: /login", "<!DOCTYPE html>\n<html><head><title>Moved</title></head>" +
			"<body><h1>Moved</h1><p>Please log in.</p></body></html>\n"},
		Drop: {},
	}
	for _, behavior := range Behaviors() {
		if behavior == Hang {
			continue // see TestHang
		}
		t.Run(behavior.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want, listed := tests[behavior]
				if !listed {
					t.Fatal("no expectation for this behavior")
				}
				api := New(Options{Now: fixed(noon)})
				api.Set("pat_1", behavior)
				response, body := ask(t, api, "GET", "/v2/", "Bearer pat_1")
				if want.status == 0 {
					if response != nil {
						t.Fatalf("got status %d, want no answer", response.StatusCode)
					}
					return
				}
				if response == nil {
					t.Fatal("got no answer")
				}
				if response.StatusCode != want.status || body != want.body {
					t.Errorf("got  %d %s\nwant %d %s", response.StatusCode, body, want.status, want.body)
				}
				if got := varying(response.Header); got != want.headers {
					t.Errorf("got headers %q, want %q", got, want.headers)
				}
				if got := response.Header.Get("Date"); got != "Mon, 04 May 2026 12:00:00 GMT" {
					t.Errorf("got Date %q, want noon", got)
				}
				isJSON := json.Valid([]byte(body))
				if claims := response.Header.Get("Content-Type") == jsonType; claims != isJSON {
					t.Errorf("Content-Type says JSON: %t; body is JSON: %t", claims, isJSON)
				}
			})
		})
	}
}

// varying lists the headers that differ between behaviors.
func varying(header http.Header) string {
	var found []string
	for _, name := range []string{
		"X-Request-Limit", "X-Request-Usage", "Retry-After", "Location", "Allow", "WWW-Authenticate",
	} {
		if value := header.Get(name); value != "" {
			found = append(found, name+": "+value)
		}
	}
	return strings.Join(found, ", ")
}

func TestWhoAndWhere(t *testing.T) {
	tests := map[string]struct {
		method, target, authorization string
		status                        int
		body                          string // its beginning
	}{
		"root":                    {"GET", "/v2/", "Bearer pat_1", 200, `{"status":"200","message":"OK",`},
		"root without a slash":    {"GET", "/v2", "Bearer pat_1", 200, `{"status":"200",`},
		"root with two":           {"GET", "/v2//", "Bearer pat_1", 200, `{"status":"200",`},
		"lower-case scheme":       {"GET", "/v2/", "bearer pat_1", 200, `{"status":"200",`},
		"no Authorization":        {"GET", "/v2/", "", 401, `{"status":401,"message":"Could not authenticate",`},
		"another scheme":          {"GET", "/v2/", "Basic pat_1", 401, `{"status":401,`},
		"no token":                {"GET", "/v2/", "Bearer", 401, `{"status":401,`},
		"unknown token":           {"GET", "/v2/", "Bearer pat_2", 401, `{"status":401,`},
		"unknown token, no route": {"GET", "/v2/nowhere", "Bearer pat_2", 401, `{"status":401,`},
		"no route":                {"GET", "/v2/nowhere", "Bearer pat_1", 404, `{"status":404,"message":"Not Found",`},
		"no version":              {"GET", "/", "Bearer pat_1", 404, `{"status":404,`},
		"another version":         {"GET", "/v20", "Bearer pat_1", 404, `{"status":404,`},
		"wrong method":            {"POST", "/v2/", "Bearer pat_1", 405, `{"status":405,"message":"Method Not Allowed",`},
		"HEAD":                    {"HEAD", "/v2/", "Bearer pat_1", 200, `{"status":"200",`},
		"usage": {"GET", "/v2/usage", "Bearer pat_1", 200, `{"api_requests":{"history":{"total":1,"today":1,` +
			`"history":{"2026-05-04T00:00:00Z":1}},"total":1000,"used":1,"remaining":999},`},
		"user":     {"GET", "/v2/users/me", "Bearer pat_1", 200, owner},
		"features": {"GET", "/v2/users/me/features", "Bearer pat_1", 200, `[]`},
		"products": {"GET", "/v2/products/mine", "Bearer pat_1", 200, `{}`},
		"products, paged": {"GET", "/v2/products/mine?count=5&page=2", "Bearer pat_1", 200,
			`{"metadata":{"resultset":{"count":5,"page":2,"total_count":0,"total_pages":0}},"results":[]}`},
		"products, paged nonsense": {"GET", "/v2/products/mine?count=-5&page=x", "Bearer pat_1", 200,
			`{"metadata":{"resultset":{"count":10,"page":1,`},
		"keywords":    {"GET", "/v2/keywords", "Bearer pat_1", 200, `[]`},
		"flat report": {"GET", "/v2/reports/sales?format=flat&group_by=date", "Bearer pat_1", 200, `[]`},
		"report":      {"GET", "/v2/reports/revenue", "Bearer pat_1", 200, `{}`},
		"reviews": {"GET", "/v2/reviews?page=3", "Bearer pat_1", 200,
			`{"total":0,"pages":0,"this_page":3,"reviews":[]}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			api := New(Options{Now: fixed(noon)})
			api.Set("pat_1", Valid)
			response, body := ask(t, api, test.method, test.target, test.authorization)
			if response.StatusCode != test.status || !strings.HasPrefix(body, test.body) {
				t.Errorf("got  %d %s\nwant %d %s…", response.StatusCode, body, test.status, test.body)
			}
			if !json.Valid([]byte(body)) {
				t.Errorf("not JSON: %s", body)
			}
			counted := response.StatusCode != 401 && strings.HasPrefix(test.target, "/v2/")
			if announced := response.Header.Get("X-Request-Limit") == "1000"; counted && !announced {
				t.Error("no X-Request-Limit on an answer to an account's token")
			}
		})
	}
}

func TestResourcesAreTested(t *testing.T) {
	for path := range maps.Keys(resources) {
		api := New(Options{})
		api.Set("pat_1", Valid)
		if response, _ := ask(t, api, "GET", "/v2/"+path, "Bearer pat_1"); response.StatusCode != 200 {
			t.Errorf("%s: got status %d", path, response.StatusCode)
		}
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, behavior := range Behaviors() {
		name := behavior.String()
		if name == "" || seen[name] {
			t.Errorf("behavior %d has the name %q: empty, or another's", behavior, name)
		}
		seen[name] = true
	}
	if got, want := Behavior(NumBehaviors).String(), "behavior 21"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestRevokedOnce checks that one request is denied, and that it can be repeated.
func TestRevokedOnce(t *testing.T) {
	api := New(Options{})
	for range 2 {
		api.Set("pat_1", RevokedOnce)
		for i, want := range []int{401, 200, 200} {
			if response, _ := ask(t, api, "GET", "/v2/", "Bearer pat_1"); response.StatusCode != want {
				t.Errorf("request %d: got status %d, want %d", i, response.StatusCode, want)
			}
		}
	}
}

// All tokens and programs of an account share its limit.
func TestDailyLimit(t *testing.T) {
	now := time.Date(2026, 5, 4, 23, 59, 59, 0, time.UTC)
	api := New(Options{Now: func() time.Time { return now }})
	for secret, account := range map[string]string{"pat_a1": "a", "pat_a2": "a", "pat_b": "b"} {
		api.Set(secret, Valid)
		api.SetAccount(secret, account)
	}
	api.Set("pat_a3", Revoked)
	api.SetAccount("pat_a3", "a")
	api.SetLimit("a", 5)
	api.Use("a", 2)

	steps := []struct {
		before func()
		secret string
		status int
		used   string
	}{
		{nil, "pat_a1", 200, "3"},
		{nil, "pat_a2", 200, "4"},
		{nil, "pat_a3", 401, "5"},
		{nil, "pat_a1", 420, "5"},
		{nil, "pat_a2", 420, "5"},
		{nil, "pat_a3", 401, "5"},
		{nil, "pat_b", 200, "1"},
		{func() { api.SetLimit("a", 6) }, "pat_a1", 200, "6"},
		{func() { now = now.Add(time.Second) }, "pat_a1", 200, "1"}, // 00:00:00 UTC
		{func() { api.Use("a", 100) }, "pat_a1", 420, "6"},
		{func() { api.SetLimit("a", 3) }, "pat_a1", 420, "6"},
		{func() { api.Use("a", 1) }, "pat_a1", 420, "6"},
		{func() { api.SetLimit("a", 0); now = now.Add(24 * time.Hour) }, "pat_a1", 420, "0"},
	}
	for i, step := range steps {
		if step.before != nil {
			step.before()
		}
		response, body := ask(t, api, "GET", "/v2/", "Bearer "+step.secret)
		if response.StatusCode != step.status {
			t.Fatalf("step %d: got status %d, want %d: %s", i, response.StatusCode, step.status, body)
		}
		if used := response.Header.Get("X-Request-Usage"); used != step.used {
			t.Fatalf("step %d: got X-Request-Usage %q, want %q", i, used, step.used)
		}
	}
	if used, limit := api.Quota("b"); used != 0 || limit != DefaultDailyLimit {
		t.Errorf("got quota of b %d of %d, want 0 of %d: its request was two days ago", used, limit, DefaultDailyLimit)
	}
	counts := map[string]int64{"pat_a1": 8, "pat_a2": 2, "pat_a3": 2, "pat_b": 1, "unknown": 0}
	for secret, want := range counts {
		if got := api.Requests(secret); got != want {
			t.Errorf("got %d requests with %s, want %d", got, secret, want)
		}
	}
	if got := api.AccountRequests("a"); got != 12 {
		t.Errorf("got %d requests with tokens of account a, want 12", got)
	}
	if got := api.TotalRequests(); got != 13 {
		t.Errorf("got %d requests in all, want 13", got)
	}
}

func TestDelays(t *testing.T) {
	tests := map[string]struct {
		options       Options
		behavior      Behavior
		authorization string
		want          time.Duration
	}{
		"none":               {Options{}, Valid, "Bearer pat_1", 0},
		"slow":               {Options{}, Slow, "Bearer pat_1", 2 * time.Second},
		"slow, set":          {Options{SlowDelay: time.Minute}, Slow, "Bearer pat_1", time.Minute},
		"latency":            {Options{Latency: 50 * time.Millisecond}, Valid, "Bearer pat_1", 50 * time.Millisecond},
		"latency and slow":   {Options{Latency: time.Second}, Slow, "Bearer pat_1", 3 * time.Second},
		"latency of a page":  {Options{Latency: time.Second}, ProxyPage, "Bearer pat_1", time.Second},
		"latency of unknown": {Options{Latency: time.Second}, Valid, "Bearer pat_2", time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := New(test.options)
				api.Set("pat_1", test.behavior)
				start := time.Now()
				ask(t, api, "GET", "/v2/", test.authorization)
				if got := time.Since(start); got != test.want {
					t.Errorf("answered after %v, want %v", got, test.want)
				}
			})
		})
	}
}

// A request that hangs ends when the client closes the connection, and does not delay others.
func TestHang(t *testing.T) {
	api := New(Options{})
	api.Set("pat_hang", Hang)
	api.Set("pat_valid", Valid)
	server := httptest.NewServer(api)
	defer server.Close() // waits for the handlers

	get := func(secret string, timeout time.Duration) (*http.Response, error) {
		request, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+secret)
		client := http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
		return client.Do(request)
	}
	if response, err := get("pat_hang", 50*time.Millisecond); err == nil {
		t.Errorf("got status %d from a token that hangs", response.StatusCode)
	}
	response, err := get("pat_valid", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 200 {
		t.Errorf("got status %d, want 200", response.StatusCode)
	}
}

// Responses, changes and counts at the same time, for the race detector and the counts.
func TestConcurrentUse(t *testing.T) {
	const clients, each = 8, 200
	api := New(Options{DailyLimit: clients * each})
	api.Set("pat_1", Valid)
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for i := range each {
				api.Set("pat_1", []Behavior{Valid, Unmetered, Locked}[i%3])
				api.SetAccount("pat_1", "shared")
				ask(t, api, "GET", "/v2/", "Bearer pat_1")
				api.Use("shared", 1)
				api.Requests("pat_1")
			}
		})
	}
	group.Wait()
	for what, got := range map[string]int64{
		"token": api.Requests("pat_1"), "account": api.AccountRequests("shared"), "API": api.TotalRequests(),
	} {
		if got != clients*each {
			t.Errorf("got %d requests of the %s, want %d", got, what, clients*each)
		}
	}
}

func BenchmarkRoot(b *testing.B) {
	api := New(Options{DailyLimit: 1 << 40})
	api.Set("pat_1", Valid)
	request := httptest.NewRequestWithContext(b.Context(), "GET", "/v2/", nil)
	request.Header.Set("Authorization", "Bearer pat_1")
	b.ReportAllocs()
	for b.Loop() {
		api.ServeHTTP(httptest.NewRecorder(), request)
	}
}
