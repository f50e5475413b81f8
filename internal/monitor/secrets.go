package monitor

import "github.com/appfigures-exporter/appfigures_exporter/internal/config"

// candidate is a token that a scrape wants to probe, with its secret as it is now.
type candidate struct {
	token  *token
	secret config.Secret
	digest string // of secret
	err    error  // why the secret cannot be read; then the other two are empty
}

// readSecrets reads the sources of the named tokens, or of all, and notes which secrets have changed. It takes
// [config.ReadTimeout] at most; a source that hangs is an error.
func (m *Monitor) readSecrets(names []string) []candidate {
	m.mu.Lock()
	tokens := m.selectLocked(names)
	configured := make([]config.Token, len(tokens))
	for i, t := range tokens {
		configured[i] = t.Token
	}
	m.mu.Unlock()
	candidates := make([]candidate, len(tokens))
	for i, reading := range m.reader.Read(configured) {
		candidates[i] = candidate{token: tokens[i], secret: reading.Secret, err: reading.Err}
		if reading.Err == nil {
			candidates[i].digest = reading.Secret.Digest(m.salt)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range candidates {
		if c.err == nil && c.token.useSecret(c.digest, m.Now()) {
			m.dirty = true
		}
	}
	return candidates
}
