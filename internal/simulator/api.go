// Package simulator simulates the root of the Appfigures API, for the demo, the tests and the benchmarks, and is the
// demo over it. It responds as the vendor's documentation shows, closely enough for `auth status` of the vendor's own
// command-line client. It has none of the API's other resources, and knows nothing of probes and verdicts.
//
// Sources:
//   - the root resource, its body, and bearer tokens: https://docs.appfigures.com/api/reference/v2/root and
//     https://docs.appfigures.com/api/authentication/personal-access-tokens
//   - the bodies of 401 and 403: https://docs.appfigures.com/api/authentication
//   - the daily limit, its two headers, 420: https://docs.appfigures.com/api/rate-limits
//   - 403 "AccessToken invalid", which the vendor's client treats like 401, and the OAuth form of errors:
//     https://github.com/appfigures/cli, dist/af.js, version 3.0.0
//
// What is documented nowhere (5xx, 429, the wording of other 403s, whether a 401 has quota headers) has the same form,
// or a behavior for each form.
package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// DefaultAccount is the account of a token before [API.SetAccount].
const DefaultAccount = "default"

// DefaultDailyLimit is the limit of an account, in requests per UTC day, as documented.
const DefaultDailyLimit = 1000

// Options are the settings of an API. A zero value means the default.
type Options struct {
	Latency    time.Duration // before each response; default none
	DailyLimit int64         // of accounts without [API.SetLimit]; default [DefaultDailyLimit]
	SlowDelay  time.Duration // of [Slow]; default 2 s
	RetryAfter time.Duration // of [RateLimited], in whole seconds; default 60 s
}

// API is a simulated Appfigures API. It is safe for concurrent use.
type API struct {
	options Options

	mu       sync.Mutex       // guards the fields below and what they point to; not held while a response waits
	total    int64            // requests
	requests map[string]int64 // by secret
	tokens   map[string]*token
	accounts map[string]*account
}

// token is a bearer token that the API knows.
type token struct {
	behavior Behavior
	account  string
}

// account is one account of the API: a user, a daily limit, and any number of tokens.
type account struct {
	name  string
	id    int       // of its user
	limit int64     // requests per UTC day
	used  int64     // requests on day
	day   time.Time // 00:00 UTC
}

// New returns an API without tokens.
func New(options Options) *API {
	options.DailyLimit = cmp.Or(options.DailyLimit, DefaultDailyLimit)
	options.SlowDelay = cmp.Or(options.SlowDelay, 2*time.Second)
	options.RetryAfter = cmp.Or(options.RetryAfter, time.Minute)
	return &API{
		options: options, requests: map[string]int64{}, tokens: map[string]*token{}, accounts: map[string]*account{},
	}
}

// Set sets the behavior of the bearer token secret for requests from now on. A new token belongs to [DefaultAccount].
func (a *API) Set(secret string, behavior Behavior) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokenLocked(secret).behavior = behavior
}

// SetAccount sets the account of the bearer token secret. A new token is [Valid].
func (a *API) SetAccount(secret, account string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokenLocked(secret).account = account
}

// SetLimit sets the account's limit, in requests per UTC day. Zero allows none.
func (a *API) SetLimit(account string, requests int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accountLocked(account).limit = requests
}

// Use counts requests of the account's other programs today, up to its limit.
func (a *API) Use(account string, requests int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.accountLocked(account)
	known.used = max(known.used, min(known.used+requests, known.limit))
}

// Requests returns the number of requests with the bearer token secret, whatever the response.
func (a *API) Requests(secret string) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests[secret]
}

// TotalRequests returns the number of all requests, including those with an unknown token or none.
func (a *API) TotalRequests() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total
}

// tokenLocked returns the token of that secret, which may be new.
func (a *API) tokenLocked(secret string) *token {
	known, ok := a.tokens[secret]
	if !ok {
		known = &token{account: DefaultAccount}
		a.tokens[secret] = known
	}
	return known
}

// accountLocked returns the account of that name, which may be new. Its requests are those of the present UTC day.
func (a *API) accountLocked(name string) *account {
	known, ok := a.accounts[name]
	if !ok {
		known = &account{name: name, id: 42 + len(a.accounts), limit: a.options.DailyLimit}
		a.accounts[name] = known
	}
	if day := time.Now().UTC().Truncate(24 * time.Hour); !day.Equal(known.day) {
		known.day, known.used = day, 0
	}
	return known
}

// count counts a request with the bearer token secret, and decides how to respond. The account is as it was then; it is
// zero if the API does not know the token.
func (a *API) count(secret string) (Behavior, account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total++
	a.requests[secret]++
	known := a.tokens[secret]
	if known == nil {
		return Revoked, account{}
	}
	behavior, owner := known.behavior, a.accountLocked(known.account)
	if behaviors[behavior].metered && owner.used < owner.limit {
		owner.used++
	} else if behavior == Valid || behavior == Slow {
		behavior = QuotaExhausted // other behaviors stay as they are below the limit
	}
	seen := *owner
	if behavior == QuotaExhausted {
		seen.used = max(seen.used, seen.limit)
	}
	return behavior, seen
}

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secret, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	behavior, owner := a.count(secret)
	delay := a.options.Latency
	if behavior == Slow {
		delay += a.options.SlowDelay
	}
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return
	}
	response := behaviors[behavior].answer
	switch {
	case behavior == Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case behavior == Drop:
		panic(http.ErrAbortHandler)
	case r.Method != http.MethodGet || strings.TrimSuffix(r.URL.Path, "/") != "/v2":
		response = notFound
	}
	a.respond(w, owner, response, behaviors[behavior].metered)
}

// respond writes a response. If it is metered, it has the headers of the account's quota.
func (a *API) respond(w http.ResponseWriter, owner account, response answer, metered bool) {
	limit, used := strconv.FormatInt(owner.limit, 10), strconv.FormatInt(owner.used, 10)
	body := strings.NewReplacer(
		"$USER_ID", strconv.Itoa(owner.id), "$ACCOUNT", owner.name,
		"$EMAIL", fmt.Sprintf("owner-%d@example.com", owner.id), "$LIMIT", limit, "$USED", used,
	).Replace(response.body)
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	if strings.HasPrefix(body, "<") {
		header.Set("Content-Type", "text/html; charset=utf-8")
	}
	if owner.id > 0 && metered {
		header.Set("X-Request-Limit", limit)
		header.Set("X-Request-Usage", used)
	}
	switch response.status {
	case http.StatusFound:
		header.Set("Location", "/login")
	case http.StatusTooManyRequests:
		header.Set("Retry-After", strconv.Itoa(int(a.options.RetryAfter.Seconds())))
	}
	w.WriteHeader(response.status)
	_, _ = w.Write([]byte(body)) // the client may have closed the connection
}
