package config

import (
	"testing"
)

func TestSourceEqual(t *testing.T) {
	make := func() []Source {
		return []Source{
			FileSource("a"), FileSource("b"), EnvSource("a"), EnvSource("b"), InlineSource(NewSecret("a")), InlineSource(NewSecret("b")),
		}
	}
	for i, source := range make() {
		for j, other := range make() {
			if source.Equal(other) != (i == j) {
				t.Errorf("%d.Equal(%d) is %t", i, j, source.Equal(other))
			}
		}
	}
}

// TestDigest checks that digests differ by secret, source and salt, and contain nothing of a secret.
func TestDigest(t *testing.T) {
	secret := NewSecret(sentinel)
	seen := make(map[string]bool)
	for _, salt := range [][]byte{[]byte("one"), []byte("two"), nil} {
		for _, of := range []interface{ Digest([]byte) string }{
			secret, NewSecret("pat_x"), Secret{}, InlineSource(secret), FileSource(sentinel), EnvSource(sentinel), FileSource("a"), EnvSource("a"),
		} {
			digest := of.Digest(salt)
			if digest != of.Digest(salt) || seen[digest] || leaks(digest) || len(digest) > 20 {
				t.Errorf("%v: digest %q with salt %q", of, digest, salt)
			}
			seen[digest] = true
		}
	}
}
