package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/simulator"
)

// plenty is a daily limit under which no probe is paced.
const plenty = 1_000_000_000

// secret returns the text of the i-th token.
func secret(i int) string { return fmt.Sprintf("pat_%028d", i) }

// simulated is a running simulated API.
type simulated struct {
	*process
	certificate string
}

func (b *bench) startAPI(l load) (simulated, error) {
	certificate := filepath.Join(b.dir, "api.pem")
	p, err := start(b.ctx, b.self, apiRole, fmt.Sprint("-tokens=", l.tokens), fmt.Sprint("-latency=", l.latency), "-certificate="+certificate)
	return simulated{p, certificate}, err
}

// serveAPI serves the simulated API over TLS until the process is ended.
func serveAPI(args []string) error {
	flags := flag.NewFlagSet(apiRole, flag.ExitOnError)
	tokens := flags.Int("tokens", 0, "how many tokens to know")
	latency := flags.Duration("latency", 0, "how long to wait before each answer")
	file := flags.String("certificate", "", "where to write the certificate")
	_ = flags.Parse(args) // ends the process on an error

	api := simulator.New(simulator.Options{Latency: *latency, DailyLimit: plenty})
	for i := range *tokens {
		api.Set(secret(i), simulator.Valid)
	}
	certificate, err := selfSigned(net.IPv4(127, 0, 0, 1))
	if err != nil {
		return err
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	if err := os.WriteFile(*file, encoded, 0o600); err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		return err
	}
	fmt.Printf("address=https://%s/v2/\n", listener.Addr())
	return http.Serve(listener, api)
}

// selfSigned returns a certificate for an address that is its own authority.
func selfSigned(ip net.IP) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		IPAddresses:  []net.IP{ip},
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}, err
}
