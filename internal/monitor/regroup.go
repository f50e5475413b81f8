package monitor

import (
	"log/slog"
	"slices"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// formerAccounts are the accounts that tokens were in, by the digest of a token's source, and by its name. Those of
// tokens that left the configuration are kept as long as their account is.
type formerAccounts map[string][]*account

func (f formerAccounts) add(key string, a *account) {
	if a != nil && !slices.Contains(f[key], a) {
		f[key] = append(f[key], a)
	}
}

// of returns the accounts that a token was in; by its name only if its source is new.
func (f formerAccounts) of(name, sourceDigest string) []*account {
	if accounts := f[sourceDigest]; len(accounts) > 0 {
		return accounts
	}
	return f[nameKey(name)]
}

// nameKey returns the key of a token's name, which no digest equals.
func nameKey(name string) string { return "name:" + name }

// noteAccountsLocked notes which accounts tokens are in, and forgets accounts that are forgotten.
func (m *Monitor) noteAccountsLocked() {
	gone := func(a *account) bool { return m.accounts[a.name] != a }
	for key, accounts := range m.former {
		if accounts = slices.DeleteFunc(accounts, gone); len(accounts) == 0 {
			delete(m.former, key)
		} else {
			m.former[key] = accounts
		}
	}
	for _, t := range m.tokens {
		delete(m.former, t.sourceDigest)
		delete(m.former, nameKey(t.Name))
	}
	for _, t := range m.tokens {
		m.former.add(t.sourceDigest, t.account)
		m.former.add(nameKey(t.Name), t.account)
	}
}

// regroupLocked makes sure that each account of cfg exists. The configuration tells which tokens share a quota, and may
// have been wrong before, so no token gets a second budget by another account: an account that is renamed goes on, and
// one that gets tokens of another counts the requests of both.
func (m *Monitor) regroupLocked(cfg *config.Config, now instant) {
	var names []string                     // of cfg's accounts, in order
	origins := make(map[string][]*account) // of their tokens, by name
	parts := make(map[*account]int)        // into how many accounts the tokens of an account went
	before := make(map[*account]pacer)     // as it was, because an account can both give and get tokens
	for _, t := range cfg.Tokens {
		if _, found := origins[t.Account]; !found {
			names, origins[t.Account] = append(names, t.Account), nil
		}
		for _, a := range m.former.of(t.Name, t.Source.Digest(m.salt)) {
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
			if other == a {
				continue
			}
			p := before[other]
			a.pacer.absorb(&p, now.steady)
			if other.pacer.inFlight > 0 {
				other.movedTo = append(other.movedTo, a)
			}
			m.logLocked(slog.LevelInfo, "Counting the requests of another account, too: tokens have moved",
				"account", name, "from", other.name)
		}
	}
}
