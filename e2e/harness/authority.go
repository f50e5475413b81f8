package harness

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority. Only clients that are given its file trust it.
type Authority struct {
	File string // its certificate, in PEM

	certificate *x509.Certificate
	key         crypto.Signer
}

// Identity is a certificate of an [Authority].
type Identity struct {
	CertFile, KeyFile string // in PEM
	Expiry            time.Time
}

// NewAuthority returns an authority that lasts as long as the test.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	ca := &Authority{File: filepath.Join(t.TempDir(), "ca.pem"), key: newKey(t)}
	ca.certificate = &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "Test authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(10 * 24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	ca.sign(t, ca.certificate, ca.key.Public(), ca.File)
	return ca
}

// Issue issues a certificate for an IP address. It expires before the authority's own.
func (ca *Authority) Issue(t testing.TB, ip string) Identity {
	t.Helper()
	dir := t.TempDir()
	identity := Identity{
		CertFile: filepath.Join(dir, "cert.pem"),
		KeyFile:  filepath.Join(dir, "key.pem"),
		Expiry:   time.Now().Add(5 * 24 * time.Hour).Truncate(time.Second),
	}
	key := newKey(t)
	ca.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: ip},
		IPAddresses:  []net.IP{net.ParseIP(ip)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     identity.Expiry,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, key.Public(), identity.CertFile)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, identity.KeyFile, "PRIVATE KEY", private)
	return identity
}

// ClientConfig returns the configuration of clients that trust only the authority.
func (ca *Authority) ClientConfig(t testing.TB) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(Read(t, ca.File)))
	return &tls.Config{RootCAs: pool}
}

// sign writes the certificate of a public key.
func (ca *Authority) sign(t testing.TB, certificate *x509.Certificate, public crypto.PublicKey, file string) {
	t.Helper()
	signed, err := x509.CreateCertificate(rand.Reader, certificate, ca.certificate, public, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, file, "CERTIFICATE", signed)
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t testing.TB, file, kind string, block []byte) {
	t.Helper()
	Write(t, file, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: block})))
}
