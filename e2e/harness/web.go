package harness

import "fmt"

// The user of [PasswordConfig].
const (
	User     = "prometheus"
	Password = "scrape it"

	passwordHash = "$2a$04$igXPfm11L/k2aq5nwMqtc.9Xo.bYedLzF405Gt4MO2LdNBz9tGvj6" // bcrypt at its lowest cost
)

// PasswordConfig is the part of a web configuration that demands a password.
const PasswordConfig = "basic_auth_users: {" + User + ": " + passwordHash + "}\n"

// TLSConfig returns the part of a web configuration that serves TLS of at least a version, TLS12 or TLS13.
func TLSConfig(identity Identity, version string) string {
	return fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s, min_version: %s}\n",
		identity.CertFile, identity.KeyFile, version)
}
