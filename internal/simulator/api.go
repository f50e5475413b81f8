// Package simulator simulates the Appfigures API for the demo, the tests and the benchmarks. It responds as the
// vendor's documentation shows, closely enough for the vendor's own command-line client. The behavior of each token can
// be changed at any time.
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
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of [Options].
const (
	DefaultDailyLimit = 1000             // requests of an account per UTC day, as documented
	DefaultSlowDelay  = 2 * time.Second  // delay of [Slow]
	DefaultRetryAfter = 60 * time.Second // Retry-After of [SlowDown]
	DefaultAccount    = "default"        // account of a token before [API.SetAccount]
)

// Options are the settings of an API. A zero value means the default.
type Options struct {
	Now        func() time.Time // clock of the UTC day and the Date header; default [time.Now]
	Latency    time.Duration    // before each response; default none
	DailyLimit int64            // of accounts without [API.SetLimit]; default [DefaultDailyLimit]
	SlowDelay  time.Duration    // default [DefaultSlowDelay]
	RetryAfter time.Duration    // sent as whole seconds; default [DefaultRetryAfter]
}

// API is a simulated Appfigures API. It serves the routes below /v2/ and is safe for concurrent use. No lock is held
// while a response is delayed or written.
type API struct {
	options Options
	total   atomic.Int64

	mu       sync.RWMutex
	tokens   map[string]*token   // guarded by mu
	accounts map[string]*account // guarded by mu
}

// token is a bearer token that the API knows. [API.mu] guards the map of tokens, not its values.
type token struct {
	behavior atomic.Uint32 // a Behavior
	account  atomic.Pointer[account]
	requests atomic.Int64
}

// New returns an API without tokens.
func New(options Options) *API {
	if options.Now == nil {
		options.Now = time.Now
	}
	options.DailyLimit = cmp.Or(options.DailyLimit, DefaultDailyLimit)
	options.SlowDelay = cmp.Or(options.SlowDelay, DefaultSlowDelay)
	options.RetryAfter = cmp.Or(options.RetryAfter, DefaultRetryAfter)
	return &API{options: options, tokens: map[string]*token{}, accounts: map[string]*account{}}
}

// Set sets the behavior of the bearer token secret for requests from now on. A new token belongs to [DefaultAccount].
func (a *API) Set(secret string, behavior Behavior) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokenLocked(secret, DefaultAccount).behavior.Store(uint32(behavior))
}

// SetAccount sets the account of the bearer token secret. A new token is [Valid].
func (a *API) SetAccount(secret, account string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokenLocked(secret, account).account.Store(a.accountLocked(account))
}

// SetLimit sets the account's limit, in requests per UTC day. Zero allows none.
func (a *API) SetLimit(account string, requests int64) {
	a.ensureAccount(account).setLimit(requests)
}

// Use counts requests of the account's other programs today, up to its limit.
func (a *API) Use(account string, requests int64) {
	a.ensureAccount(account).use(a.options.Now(), requests)
}

// Behavior returns the behavior of the bearer token secret, and whether the API knows the token.
func (a *API) Behavior(secret string) (Behavior, bool) {
	known := a.lookup(secret)
	if known == nil {
		return 0, false
	}
	return Behavior(known.behavior.Load()), true
}

// Requests returns the number of requests with the bearer token secret, whatever the response; 0 if the API does not
// know the token.
func (a *API) Requests(secret string) int64 {
	if known := a.lookup(secret); known != nil {
		return known.requests.Load()
	}
	return 0
}

// AccountRequests returns the number of requests with tokens of the account, on all days and whatever the response,
// without those of [API.Use].
func (a *API) AccountRequests(account string) int64 { return a.ensureAccount(account).requests.Load() }

// TotalRequests returns the number of all requests, including those with an unknown token or none.
func (a *API) TotalRequests() int64 { return a.total.Load() }

// Quota returns the account's requests of this UTC day, including those of [API.Use], and its limit.
func (a *API) Quota(account string) (used, limit int64) {
	q := a.ensureAccount(account).quota(a.options.Now())
	return q.used, q.limit
}

// tokenLocked returns the token of that secret. A new one belongs to the account.
func (a *API) tokenLocked(secret, account string) *token {
	known, ok := a.tokens[secret]
	if !ok {
		known = new(token)
		known.account.Store(a.accountLocked(account))
		a.tokens[secret] = known
	}
	return known
}

// accountLocked returns the account of that name, which may be new.
func (a *API) accountLocked(name string) *account {
	known, ok := a.accounts[name]
	if !ok {
		known = newAccount(name, len(a.accounts), a.options.DailyLimit)
		a.accounts[name] = known
	}
	return known
}

func (a *API) ensureAccount(name string) *account {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.accountLocked(name)
}

func (a *API) lookup(secret string) *token {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.tokens[secret]
}
