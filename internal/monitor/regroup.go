package monitor

import (
	"log/slog"
	"slices"

	"github.com/appfigures-exporter/appfigures_exporter/internal/config"
)

// formerAccounts are the accounts that tokens were in, by the digest of a token's source, and by its name.
type formerAccounts map[string]*account

func (f formerAccounts) add(name, sourceDigest string, a *account) {
	if a != nil {
		f[sourceDigest], f["name "+name] = a, a
	}
}

func (f formerAccounts) of(name, sourceDigest string) *account {
	if a := f[sourceDigest]; a != nil {
		return a
	}
	return f["name "+name]
}

// regroupLocked makes sure that each account of cfg exists. The configuration tells which tokens share a quota, and may
// have been wrong before, so no token gets a second budget by another account: an account that is renamed goes on, and
// one that gets tokens of another counts the requests of both.
func (m *Monitor) regroupLocked(cfg *config.Config, former formerAccounts, now instant) {
	var names []string                     // of cfg's accounts, in order
	origins := make(map[string][]*account) // of their tokens, by name
	parts := make(map[*account]int)        // into how many accounts the tokens of an account went
	before := make(map[*account]pacer)     // as it was, because an account can both give and get tokens
	for _, t := range cfg.Tokens {
		if _, found := origins[t.Account]; !found {
			names, origins[t.Account] = append(names, t.Account), nil
		}
		a := former.of(t.Name, t.Source.Digest(m.salt))
		if a == nil || slices.Contains(origins[t.Account], a) {
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
			m.logLocked(slog.LevelInfo, "Counting the requests of another account, too: tokens have moved",
				"account", name, "from", other.name)
		}
	}
}
