package simulator

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// account is a customer of the API: one user, one daily limit, any number of tokens.
type account struct {
	email    string
	user     []byte // the JSON object that describes the user
	requests atomic.Int64

	mu    sync.Mutex
	limit int64     // guarded by mu; requests a UTC day
	used  int64     // guarded by mu; on day
	day   time.Time // guarded by mu; 00:00 UTC
}

// quota is an account's use of a UTC day at one moment, in requests.
type quota struct{ used, limit int64 }

// newAccount returns the account of that name, which is the index-th of its API.
func newAccount(name string, index int, limit int64) *account {
	email := fmt.Sprintf("owner-%d@example.com", index+1)
	user, err := json.Marshal(struct {
		ID        int    `json:"id"`
		Name      string `json:"name"`
		Email     string `json:"email"`
		AvatarURL string `json:"avatar_url"`
	}{42 + index, "Owner of " + name, email, fmt.Sprintf("https://secure.gravatar.com/avatar/%x?d=mm", md5.Sum([]byte(email)))})
	if err != nil {
		panic(err) // cannot be: numbers and strings always have a JSON form
	}
	return &account{email: email, user: user, limit: limit}
}

// take counts one request. It is false, and counts nothing, when the day's requests are used up.
func (a *account) take(now time.Time) (quota, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn(now)
	if a.used >= a.limit {
		return quota{a.used, a.limit}, false
	}
	a.used++
	return quota{a.used, a.limit}, true
}

// use counts requests of other programs, as many of them as the day has left.
func (a *account) use(now time.Time, requests int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn(now)
	a.used = max(a.used, min(a.used+requests, a.limit))
}

func (a *account) quota(now time.Time) quota {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn(now)
	return quota{a.used, a.limit}
}

func (a *account) setLimit(requests int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit = requests
}

// turn begins a new count on another UTC day. The caller holds mu.
func (a *account) turn(now time.Time) {
	if day := now.UTC().Truncate(24 * time.Hour); !day.Equal(a.day) {
		a.day, a.used = day, 0
	}
}
