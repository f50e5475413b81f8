package monitor

import "github.com/appfigures-exporter/appfigures_exporter/internal/config"

// readSecrets reads the sources of the named tokens, or of all, notes which secrets have changed, and returns a call for
// each. It takes [config.ReadTimeout] at most; a source that hangs is an error.
func (m *Monitor) readSecrets(names []string) []*call {
	m.mu.Lock()
	tokens := m.selectLocked(names)
	configured := make([]config.Token, len(tokens))
	for i, t := range tokens {
		configured[i] = t.Token
	}
	m.mu.Unlock()
	calls := make([]*call, len(tokens))
	for i, reading := range m.reader.Read(configured) {
		calls[i] = &call{token: tokens[i], secret: reading.Secret, err: reading.Err}
		if reading.Err == nil {
			calls[i].digest = reading.Secret.Digest(m.State.Salt)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range calls {
		if c.err == nil && c.token.useSecret(c.digest, m.Now()) {
			m.dirty = true
		}
	}
	return calls
}
