package web

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckConfig checks what is reported of a --web.config.file that exporter-toolkit refuses: never what it contains.
func TestCheckConfig(t *testing.T) {
	const (
		users  = "basic_auth_users:\n  prometheus: $2y$04$Wfh9GQyGuYSLpZOaMmbxVO6XuL1FMrvLqJVBxNDvUMeJ2p5Vxkq7y\n"
		secret = "Q7sentinelZ9x4W2"
		hash   = "basic_auth_users: passwords must be bcrypt hashes; make one with `htpasswd -nBC 10 USER`"
		keys   = "an unknown key, a key given twice, or a value of the wrong kind; " +
			"see https://prometheus.io/docs/prometheus/latest/configuration/https/"
		yaml = "not valid YAML; check quotes and indentation"
	)
	if err := CheckConfig(""); err != nil {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "web.yml")
	if err := CheckConfig(os.DevNull); err == nil || !strings.HasSuffix(err.Error(), " is not a regular file") {
		t.Errorf("a device: %v", err)
	}
	if err := CheckConfig(path); err == nil || err.Error() != "--web.config.file "+path+": no such file or directory" {
		t.Errorf("a missing file: %v", err)
	}
	for text, want := range map[string]string{
		users: "",
		"basic_auth_users: {ann: " + secret + "}\n":                      hash,
		"basic_auth_users: {ann: $2b$" + strings.Repeat("x", 56) + "}\n": hash,
		"basic_auth_users: " + secret + "\n":                             "line 1: " + keys,
		"\nbasic_auth_user: {ann: " + secret + "}\n":                     "line 2: " + keys,
		"basic_auth_users: {ann: *" + secret + "}\n":                     yaml,
		"basic_auth_users:\n  ann: \"" + secret + "\n":                   "line 3: " + yaml,
		"tls_server_config: {cert_file: gone.pem, key_file: gone.key}\n": "failed to read cert_file (" +
			filepath.Join(filepath.Dir(path), "gone.pem") + "): ",
		"tls_server_config: {cert_file: gone.pem}\n": "missing one of key or key_file",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := CheckConfig(path)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), "--web.config.file "+path+": "+want)):
			t.Errorf("%q:\nerror %v\nwant  %s", text, err, want)
		case err != nil && (strings.Contains(err.Error(), secret[:4]) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%q is quoted, or not one line: %v", text, err)
		}
	}
}
