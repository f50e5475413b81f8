package kubernetes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// cluster is a control plane on loopback: etcd, the API server with its admission, and the controllers. A [node] stands
// in for the scheduler and the kubelets.
type cluster struct {
	t          *testing.T
	url        string
	kubeconfig string // path
	client     *http.Client
}

// timeout is how long the cluster may take for anything.
const timeout = time.Minute

const adminToken = "administrator-of-the-test"

// startCluster builds the control plane and starts it.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	bin := buildControlPlane(t)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	start := func(program string, args ...string) {
		harness.StartProcess(t, program, exec.Command(filepath.Join(bin, program), args...))
	}

	// The program of go.etcd.io/etcd/server is named after the last element of its path.
	etcd, etcdPeers := "http://"+harness.FreeAddress(t), "http://"+harness.FreeAddress(t)
	start("server", "--data-dir="+file("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls="+etcdPeers, "--initial-advertise-peer-urls="+etcdPeers, "--initial-cluster=default="+etcdPeers)

	address := harness.FreeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	ca := harness.NewAuthority(t)
	identity := ca.Issue(t, "127.0.0.1")
	harness.Write(t, file("tokens.csv"), adminToken+",admin,admin,system:masters\n")
	start("kube-apiserver", "--etcd-servers="+etcd, "--bind-address=127.0.0.1", "--secure-port="+port,
		"--tls-cert-file="+identity.CertFile, "--tls-private-key-file="+identity.KeyFile,
		"--token-auth-file="+file("tokens.csv"), "--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.0.0.0/24", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+identity.CertFile, "--service-account-signing-key-file="+identity.KeyFile)

	c := &cluster{t: t, url: "https://" + address, kubeconfig: file("kubeconfig")}
	c.client = &http.Client{Transport: &http.Transport{TLSClientConfig: ca.ClientConfig(t)}}
	harness.Write(t, c.kubeconfig, fmt.Sprintf(`
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: admin, user: {token: %s}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
`, c.url, ca.File, adminToken))
	harness.Until(t, timeout, func() error {
		_, err := c.request(http.MethodGet, "/readyz", "", nil)
		return err
	})
	start("kube-controller-manager", "--kubeconfig="+c.kubeconfig, "--leader-elect=false", "--secure-port=0",
		"--controllers=statefulset-controller,endpointslice-controller,garbage-collector-controller,"+
			"persistentvolume-binder-controller,persistentvolumeclaim-protection-controller")
	startNode(c)
	return c
}

// buildControlPlane builds the programs of controlplane/go.mod and returns their directory, which stays: from an empty
// build cache it takes 20 minutes on two cores.
func buildControlPlane(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(cache, "appfigures_exporter", "controlplane") + "/"
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	goCommand := func(args ...string) string {
		cmd := exec.Command("go", args...)
		cmd.Dir = "controlplane"
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		return harness.Output(t, cmd)
	}
	// Without a version the API server would be v0.0.0.
	release := goCommand("list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	number := strings.Split(strings.TrimPrefix(release, "v"), ".")
	const version = " -X k8s.io/component-base/version."
	goCommand("build", "-trimpath", "-o", bin, "-ldflags=-s -w"+version+"gitVersion="+release+
		version+"gitMajor="+number[0]+version+"gitMinor="+number[1], "tool")
	return bin
}

// request makes a request with a body of a content type, if it has one. It returns the response's body. Any status but
// success is an error.
func (c *cluster) request(method, path, contentType string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Content-Type", contentType)
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	return text, err
}

// create creates an object, given in YAML.
func (c *cluster) create(path, manifest string) {
	c.t.Helper()
	if _, err := c.request(http.MethodPost, path, "application/yaml", []byte(manifest)); err != nil {
		c.t.Fatal(err)
	}
}

// object is what the tests look at of objects.
type object struct {
	Metadata struct {
		Name              string
		Namespace         string
		UID               string
		Labels            map[string]string
		DeletionTimestamp *time.Time
	}
	Spec struct {
		NodeName      string
		RestartPolicy string
		Containers    []struct{ Name, Image string }
	}
	Status struct{ Phase string }
}

// list returns the objects of a resource, given as GROUP/VERSION/RESOURCE or VERSION/RESOURCE, that belong to a release
// in a namespace of its name.
func (c *cluster) list(release, resource string) []object {
	c.t.Helper()
	prefix, version, _ := strings.Cut("api/"+resource, "/")
	if strings.Count(resource, "/") == 2 {
		prefix, version, _ = strings.Cut("apis/"+resource, "/")
	}
	at := strings.LastIndexByte(version, '/')
	path := fmt.Sprintf("/%s/%s/namespaces/%s%s?labelSelector=app.kubernetes.io/instance=%s",
		prefix, version[:at], release, version[at:], release)
	text, err := c.request(http.MethodGet, path, "", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	var found struct{ Items []object }
	if err := json.Unmarshal(text, &found); err != nil {
		c.t.Fatal(err)
	}
	return found.Items
}

// pod returns the release's only Pod.
func (c *cluster) pod(release string) object {
	c.t.Helper()
	pods := c.list(release, "v1/pods")
	if len(pods) != 1 {
		c.t.Fatalf("%s has %d Pods, want 1", release, len(pods))
	}
	return pods[0]
}

// helm runs Helm for a release in a namespace of its name.
func (c *cluster) helm(release string, args ...string) (string, error) {
	c.t.Helper()
	home := filepath.Dir(c.kubeconfig)
	cmd := exec.Command(harness.Tool(c.t, "helm", "go install helm.sh/helm/v3/cmd/helm@v3.22.0"),
		append(args, "--namespace="+release)...)
	cmd.Env = []string{"KUBECONFIG=" + c.kubeconfig, "HOME=" + home}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mustHelm fails the test if Helm fails.
func (c *cluster) mustHelm(release string, args ...string) string {
	c.t.Helper()
	out, err := c.helm(release, args...)
	if err != nil {
		c.t.Fatalf("helm %q: %v\n%s", args, err, out)
	}
	return out
}
