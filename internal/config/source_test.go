package config

import (
	"testing"
)

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
