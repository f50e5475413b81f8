// Package simulator is a stand-in for the Appfigures API, for the demo, the tests and the benchmarks. It answers as
// the vendor's documentation shows, well enough that the vendor's own command-line client takes it for the real
// thing, and each of its tokens can be told how to behave from the next request on.
//
// Facts and where they are from:
//   - the root resource, its body, and bearer tokens: https://docs.appfigures.com/api/reference/v2/root and
//     https://docs.appfigures.com/api/authentication/personal-access-tokens
//   - the bodies of 401 and 403: https://docs.appfigures.com/api/authentication
//   - the daily limit, its two headers, 420: https://docs.appfigures.com/api/rate-limits
//   - 403 "AccessToken invalid": what the vendor's client takes, beside 401, for a dead token
//     (https://github.com/appfigures/cli, dist/af.js, version 3.0.0)
//
// Where these say nothing (a 5xx, a 429, the wording of some other 403) the answers follow the same form.
package simulator

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of [Options].
const (
	DefaultDailyLimit = 1000             // requests of one account a UTC day, as the vendor grants
	DefaultSlowDelay  = 2 * time.Second  // what [Slow] waits before it answers
	DefaultRetryAfter = 60 * time.Second // what [SlowDown] asks for
	DefaultAccount    = "default"        // whose a token is until [API.SetAccount]
)

// Options are the settings of an API. Zero values mean the defaults.
type Options struct {
	Now        func() time.Time // the clock that decides the UTC day; default [time.Now]
	Latency    time.Duration    // before every answer; default none
	DailyLimit int64            // of accounts without a limit of their own; default [DefaultDailyLimit]
	SlowDelay  time.Duration    // default [DefaultSlowDelay]
	RetryAfter time.Duration    // sent as whole seconds; default [DefaultRetryAfter]
}

// API is a simulated Appfigures API. It serves the routes below /v2/, and is safe for concurrent use: no lock is held
// while an answer waits or is written.
type API struct {
	options Options
	total   atomic.Int64

	mu       sync.RWMutex
	tokens   map[string]*token   // guarded by mu
	accounts map[string]*account // guarded by mu
}

// token is one bearer token that the API knows. The map of tokens is locked, its values are not.
type token struct {
	behaviour atomic.Uint32 // a Behaviour
	account   atomic.Pointer[account]
	requests  atomic.Int64
}

// New returns an API that knows no token yet.
func New(options Options) *API {
	if options.Now == nil {
		options.Now = time.Now
	}
	options.DailyLimit = cmp.Or(options.DailyLimit, DefaultDailyLimit)
	options.SlowDelay = cmp.Or(options.SlowDelay, DefaultSlowDelay)
	options.RetryAfter = cmp.Or(options.RetryAfter, DefaultRetryAfter)
	return &API{options: options, tokens: map[string]*token{}, accounts: map[string]*account{}}
}

// Set makes the bearer token secret behave so from the next request on. A token not seen before belongs to
// [DefaultAccount].
func (a *API) Set(secret string, behaviour Behaviour) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token(secret, DefaultAccount).behaviour.Store(uint32(behaviour))
}

// SetAccount makes the bearer token secret one of the account's. A token not seen before is [Valid].
func (a *API) SetAccount(secret, account string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token(secret, account).account.Store(a.account(account))
}

// SetLimit sets how many requests the account has each UTC day. With 0 it has none.
func (a *API) SetLimit(account string, requests int64) {
	a.ensureAccount(account).setLimit(requests)
}

// Use lets other programs of the account make that many requests today, up to its limit.
func (a *API) Use(account string, requests int64) {
	a.ensureAccount(account).use(a.options.Now(), requests)
}

// Behaviour returns how the bearer token secret behaves, and whether the API knows it.
func (a *API) Behaviour(secret string) (Behaviour, bool) {
	known := a.lookup(secret)
	if known == nil {
		return 0, false
	}
	return Behaviour(known.behaviour.Load()), true
}

// Requests returns how many requests came with the bearer token secret, however they ended; 0 for one that the API
// does not know.
func (a *API) Requests(secret string) int64 {
	if known := a.lookup(secret); known != nil {
		return known.requests.Load()
	}
	return 0
}

// AccountRequests returns how many requests came with any of the account's tokens, however they ended and on whatever
// day. Requests of [API.Use] are not among them.
func (a *API) AccountRequests(account string) int64 { return a.ensureAccount(account).requests.Load() }

// TotalRequests returns how many requests came at all, those with an unknown token or none included.
func (a *API) TotalRequests() int64 { return a.total.Load() }

// Quota returns how many of the account's requests of this UTC day are used, by its tokens and by [API.Use], and how
// many it has.
func (a *API) Quota(account string) (used, limit int64) {
	q := a.ensureAccount(account).quota(a.options.Now())
	return q.used, q.limit
}

// token returns the token of that secret, made as one of the account's if need be. The caller holds mu.
func (a *API) token(secret, account string) *token {
	known, ok := a.tokens[secret]
	if !ok {
		known = new(token)
		known.account.Store(a.account(account))
		a.tokens[secret] = known
	}
	return known
}

// account returns the account of that name, made if need be. The caller holds mu.
func (a *API) account(name string) *account {
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
	return a.account(name)
}

func (a *API) lookup(secret string) *token {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.tokens[secret]
}
