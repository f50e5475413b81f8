package config

import (
	"context"
	"errors"
	"time"
)

const (
	// loadTimeout bounds how long a load waits for the secrets of all tokens. Those not read by then are not checked.
	loadTimeout = 2 * time.Second
	// inspectTimeout bounds it where a secret that is not read is reported.
	inspectTimeout = 10 * time.Second
)

// readSlots bounds the reads under way at once in the process: one that hangs takes a thread until it ends.
var readSlots = make(chan struct{}, 100)

// reading is the result of reading one token's source.
type reading struct {
	secret  Secret
	err     error
	exposed bool // whether it is a file that every user can read
}

var errNotRead = errors.New("cannot be read in time; check the file system that it is on")

func read(s Source) (r reading) {
	r.exposed = s.kind == fromFile && isWorldReadable(s.text.Reveal())
	r.secret, r.err = s.Read()
	return r
}

// readAll calls read for the sources of all tokens at the same time. After the timeout, the error of those that hang is
// errNotRead.
func readAll(tokens []Token, timeout time.Duration, read func(Source) reading) []reading {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	type result struct {
		token int
		reading
	}
	results, slots := make(chan result, len(tokens)), readSlots // tests replace readSlots while reads of others still end
	go func() {
		for i, t := range tokens {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			go func() {
				defer func() { <-slots }()
				results <- result{i, read(t.Source)}
			}()
		}
	}()
	readings := make([]reading, len(tokens))
	for i := range readings {
		readings[i].err = errNotRead
	}
	for range tokens {
		select {
		case r := <-results:
			readings[r.token] = r.reading
		case <-ctx.Done():
			return readings
		}
	}
	return readings
}

// checkSecrets reads the secrets of all tokens. A secret that metrics publish is an error; what is unwise is noted for
// the warnings.
func (b *builder) checkSecrets() error {
	var found problems
	same := make(map[string]*group) // by secret
	var order []*group
	for i, r := range readAll(b.Tokens, loadTimeout, read) {
		t := b.Tokens[i]
		if r.exposed {
			b.exposed.add(t.Source.at, t.Name)
		}
		if errors.Is(r.err, errPublished) {
			found.add(t.Source.at, r.err.Error())
		}
		if r.err != nil {
			continue
		}
		g := same[r.secret.Reveal()]
		if g == nil {
			g = new(group)
			same[r.secret.Reveal()] = g
			order = append(order, g)
		}
		g.add(t.Source.at, t.Name)
	}
	for _, g := range order {
		if len(g.names) > 1 {
			b.same = append(b.same, *g)
		}
	}
	return found.err()
}
