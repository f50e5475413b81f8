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
	"crypto/md5"
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
	Now        func() time.Time // clock of the UTC day and the Date header; default [time.Now]
	Latency    time.Duration    // before each response; default none
	DailyLimit int64            // of accounts without [API.SetLimit]; default [DefaultDailyLimit]
	SlowDelay  time.Duration    // of [Slow]; default 2 s
	RetryAfter time.Duration    // of [RateLimited], in whole seconds; default 60 s
}

// API is a simulated Appfigures API. It is safe for concurrent use.
type API struct {
	options Options

	mu       sync.Mutex // guards the fields below and what they point to; not held while a response waits
	total    int64      // requests
	tokens   map[string]*token
	accounts map[string]*account
}

// token is a bearer token that the API knows.
type token struct {
	behavior Behavior
	account  *account
	requests int64
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
	if options.Now == nil {
		options.Now = time.Now
	}
	options.DailyLimit = cmp.Or(options.DailyLimit, DefaultDailyLimit)
	options.SlowDelay = cmp.Or(options.SlowDelay, 2*time.Second)
	options.RetryAfter = cmp.Or(options.RetryAfter, time.Minute)
	return &API{options: options, tokens: map[string]*token{}, accounts: map[string]*account{}}
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
	a.tokenLocked(secret).account = a.accountLocked(account)
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

// Requests returns the number of requests with the bearer token secret, whatever the response; 0 if the API does not
// know the token.
func (a *API) Requests(secret string) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.tokens[secret]; known != nil {
		return known.requests
	}
	return 0
}

// TotalRequests returns the number of all requests, including those with an unknown token or none.
func (a *API) TotalRequests() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total
}

// Quota returns the account's requests of this UTC day, including those of [API.Use], and its limit.
func (a *API) Quota(account string) (used, limit int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.accountLocked(account)
	return known.used, known.limit
}

// tokenLocked returns the token of that secret, which may be new.
func (a *API) tokenLocked(secret string) *token {
	known, ok := a.tokens[secret]
	if !ok {
		known = &token{account: a.accountLocked(DefaultAccount)}
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
	if day := a.options.Now().UTC().Truncate(24 * time.Hour); !day.Equal(known.day) {
		known.day, known.used = day, 0
	}
	return known
}

// request is one request to the API, and what it says about it.
type request struct {
	behavior Behavior
	sequence int64   // of the requests of the token; 0 if the API does not know the token
	account  account // as it was when the request arrived
}

// count counts a request with the bearer token secret, and decides how to respond.
func (a *API) count(secret string) request {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total++
	known := a.tokens[secret]
	if known == nil {
		return request{behavior: Revoked}
	}
	owner := a.accountLocked(known.account.name)
	known.requests++
	behavior := known.behavior
	if behavior == RevokedOnce {
		known.behavior = Valid
	}
	left := owner.used < owner.limit
	if behaviors[behavior].metered && left {
		owner.used++
	} else if behavior.admits() && behavior != Unmetered {
		behavior = QuotaExhausted
	}
	r := request{behavior, known.requests, *owner}
	if behavior == QuotaExhausted {
		r.account.used = max(owner.used, owner.limit)
	}
	return r
}

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", a.options.Now().UTC().Format(http.TimeFormat))
	secret, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	received := a.count(secret)
	delay := a.options.Latency
	if received.behavior == Slow {
		delay += a.options.SlowDelay
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	}
	response := behaviors[received.behavior].answer
	switch {
	case received.behavior == Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case received.behavior == Drop:
		panic(http.ErrAbortHandler)
	case r.Method != http.MethodGet || strings.TrimSuffix(r.URL.Path, "/") != "/v2":
		response = notFound
	}
	a.respond(w, received, response)
}

// respond writes a response.
func (a *API) respond(w http.ResponseWriter, to request, response answer) {
	email := fmt.Sprintf("owner-%d@example.com", to.account.id)
	limit, used := strconv.FormatInt(to.account.limit, 10), strconv.FormatInt(to.account.used, 10)
	names := strings.NewReplacer(
		"$USER_ID", strconv.Itoa(to.account.id), "$ACCOUNT", to.account.name,
		"$EMAIL_HASH", fmt.Sprintf("%x", md5.Sum([]byte(email))), "$EMAIL", email,
		"$LIMIT", limit, "$USED", used, "$SEQUENCE", strconv.FormatInt(to.sequence, 10),
		"$RETRY_AFTER", strconv.Itoa(int(a.options.RetryAfter.Seconds())),
	)
	body := names.Replace(response.body)
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	if strings.HasPrefix(body, "<") {
		header.Set("Content-Type", "text/html; charset=utf-8")
	}
	if to.sequence > 0 && behaviors[to.behavior].metered {
		header.Set("X-Request-Limit", limit)
		header.Set("X-Request-Usage", used)
	}
	if response.header != "" {
		header.Set(response.header, names.Replace(response.value))
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "private")
	w.WriteHeader(response.status)
	_, _ = w.Write([]byte(body)) // the client may have closed the connection
}
