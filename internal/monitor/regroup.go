package monitor

import (
	"log/slog"
	"slices"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// formerAccounts are the accounts that tokens are or were in, by the digests of a token's source and of its secret, and
// by its name.
type formerAccounts map[string]formerAccount

type formerAccount struct {
	accounts []*account
	last     time.Time // steady: the last request
}

func (f formerAccounts) add(key string, last time.Time, accounts ...*account) {
	former := f[key]
	former.last = later(former.last, last)
	for _, a := range accounts {
		if !slices.Contains(former.accounts, a) {
			former.accounts = append(slices.Clip(former.accounts), a)
		}
	}
	f[key] = former
}

// of returns the accounts that a token was in; by its name only if its source is new.
func (f formerAccounts) of(name, sourceDigest string) []*account {
	if accounts := f[sourceDigest].accounts; len(accounts) > 0 {
		return accounts
	}
	return f[nameKey(name)].accounts
}

// nameKey returns the key of a token's name, which no digest equals.
func nameKey(name string) string { return "name:" + name }

// noteGoneLocked notes the accounts of before, which were watched until now and made requests, for as long as those
// count.
func (m *Monitor) noteGoneLocked(before []*token, now instant) {
	for _, t := range before {
		if m.byName[t.Name] == t || !t.probed {
			continue
		}
		for _, key := range []string{t.sourceDigest, nameKey(t.Name), t.secretDigest(m.salt)} {
			m.gone.add(key, t.begun, t.account)
		}
	}
	for _, t := range m.tokens {
		delete(m.gone, t.sourceDigest)
		delete(m.gone, nameKey(t.Name))
	}
	m.forgetGoneLocked(now)
}

// forgetGoneLocked forgets tokens whose last request no longer counts.
func (m *Monitor) forgetGoneLocked(now instant) {
	dropped := func(a *account) bool { return m.accounts[a.name] != a }
	for key, former := range m.gone {
		former.accounts = slices.DeleteFunc(slices.Clone(former.accounts), dropped)
		if m.gone[key] = former; len(former.accounts) == 0 || !now.steady.Before(bin{start: former.last}.end()) {
			delete(m.gone, key)
		}
	}
}

// followSecretLocked makes the account of t count the requests of the accounts that made some with its secret, whatever
// the configuration called it then.
func (m *Monitor) followSecretLocked(t *token, now instant) {
	if len(m.gone) == 0 || !t.hasSecret || m.byName[t.Name] != t {
		return
	}
	key := t.secret.Digest(m.salt)
	former, found := m.gone[key]
	if !found {
		return
	}
	for _, a := range former.accounts {
		if a != t.account && m.accounts[a.name] == a {
			m.absorbLocked(t.account, a, &a.pacer, now)
		}
	}
	m.gone[key] = formerAccount{[]*account{t.account}, former.last}
}

// absorbLocked makes a count the requests of other, which p is or was the pacer of.
func (m *Monitor) absorbLocked(a, other *account, p *pacer, now instant) {
	a.pacer.absorb(p, now)
	if other.pacer.inFlight > 0 {
		other.movedTo = append(other.movedTo, a)
	}
	m.logLocked(slog.LevelInfo, "Counting the requests of another account, too: tokens have moved",
		"account", a.name, "from", other.name)
}

// regroupLocked makes sure that each account of cfg exists. The configuration tells which tokens share a quota, and may
// have been wrong before, so no token gets a second budget by another account: an account that is renamed goes on, and
// one that gets tokens of another counts the requests of both.
func (m *Monitor) regroupLocked(cfg *config.Config, now instant) {
	former := make(formerAccounts)
	for key, gone := range m.gone {
		former.add(key, gone.last, gone.accounts...)
	}
	for _, t := range m.tokens {
		former.add(t.sourceDigest, t.begun, t.account)
		former.add(nameKey(t.Name), t.begun, t.account)
	}
	var names []string                     // of cfg's accounts, in order
	origins := make(map[string][]*account) // of their tokens, by name
	parts := make(map[*account]int)        // into how many accounts the tokens of an account went
	before := make(map[*account]pacer)     // as it was, because an account can both give and get tokens
	for _, t := range cfg.Tokens {
		if _, found := origins[t.Account]; !found {
			names, origins[t.Account] = append(names, t.Account), nil
		}
		for _, a := range former.of(t.Name, t.Source.Digest(m.salt)) {
			if slices.Contains(origins[t.Account], a) {
				continue
			}
			origins[t.Account] = append(origins[t.Account], a)
			parts[a]++
			if _, found := before[a]; !found {
				p := a.pacer
				p.window.bins = slices.Clone(p.window.bins)
				before[a] = p
			}
		}
	}
	for _, name := range names {
		from := origins[name]
		a := m.accounts[name]
		if a == nil && len(from) == 1 && parts[from[0]] == 1 && !slices.Contains(names, from[0].name) {
			a = from[0]
			delete(m.accounts, a.name)
			a.name = name
			m.accounts[name] = a
			continue
		}
		if a == nil {
			a = newAccount(name, cfg.Pacing, now.steady)
			m.accounts[name] = a
		}
		for _, other := range from {
			if other != a {
				p := before[other]
				m.absorbLocked(a, other, &p, now)
			}
		}
	}
}
