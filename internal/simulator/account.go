package simulator

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// account is one account of the API: a user, a daily limit, and any number of tokens.
type account struct {
	email    string
	user     []byte // the JSON object that describes the user
	requests atomic.Int64

	mu    sync.Mutex
	limit int64     // guarded by mu; requests per UTC day
	used  int64     // guarded by mu; on day
	day   time.Time // guarded by mu; 00:00 UTC
}

// quota is how much an account has used of a UTC day, in requests.
type quota struct{ used, limit int64 }

// newAccount returns an account; index numbers the accounts of its API from 0.
func newAccount(name string, index int, limit int64) *account {
	email := fmt.Sprintf("owner-%d@example.com", index+1)
	user, err := json.Marshal(struct {
		ID        int    `json:"id"`
		Name      string `json:"name"`
		Email     string `json:"email"`
		AvatarURL string `json:"avatar_url"`
	}{
		42 + index, "Owner of " + name, email,
		fmt.Sprintf("https://secure.gravatar.com/avatar/%x?d=mm", md5.Sum([]byte(email))),
	})
	if err != nil {
		panic(err) // impossible: numbers and strings always have a JSON form
	}
	return &account{email: email, user: user, limit: limit}
}

// take counts one request. It returns false and counts nothing if the day's requests are used up.
func (a *account) take(now time.Time) (quota, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.startDayLocked(now)
	if a.used >= a.limit {
		return quota{a.used, a.limit}, false
	}
	a.used++
	return quota{a.used, a.limit}, true
}

// use counts requests of other programs, up to the limit.
func (a *account) use(now time.Time, requests int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.startDayLocked(now)
	a.used = max(a.used, min(a.used+requests, a.limit))
}

func (a *account) quota(now time.Time) quota {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.startDayLocked(now)
	return quota{a.used, a.limit}
}

func (a *account) setLimit(requests int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit = requests
}

// startDayLocked sets the count to zero if the UTC day has changed.
func (a *account) startDayLocked(now time.Time) {
	if day := now.UTC().Truncate(24 * time.Hour); !day.Equal(a.day) {
		a.day, a.used = day, 0
	}
}
