package packaging

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long the test waits for the exporter to start, to answer, or to stop.
const patience = 15 * time.Second

// testRun does what `docker run --read-only --cap-drop ALL IMAGE demo` does, without an engine: it enters the image's
// files, which cannot be written to, as the image's user with the image's environment and nothing else.
func testRun(t *testing.T, root string, image configuration) {
	mountReadOnly(t, root)
	container := func(args ...string) *exec.Cmd {
		command := exec.Command(args[0], args[1:]...)
		command.Dir = image.Config.WorkingDir
		command.Env = append([]string{}, image.Config.Env...)
		command.SysProcAttr = &syscall.SysProcAttr{
			Chroot:     root,
			Credential: &syscall.Credential{Uid: user, Gid: user},
			Pdeathsig:  syscall.SIGKILL,
		}
		return command
	}
	address := freeAddress(t)
	listen := "--web.listen-address=" + address
	healthcheck := append(image.Config.Healthcheck.Test[1:], listen)

	version := string(output(t, container(append(image.Config.Entrypoint, "--version")...)))
	for name, value := range stamp {
		if !strings.Contains(version, value) {
			t.Errorf("--version does not say %s=%s:\n%s", name, value, version)
		}
	}
	if err := container(healthcheck...).Run(); err == nil {
		t.Errorf("the health check succeeds although nothing listens on %s", address)
	}

	var log bytes.Buffer
	exporter := container(append(image.Config.Entrypoint, "demo", listen)...)
	exporter.Stdout, exporter.Stderr = &log, &log
	if err := exporter.Start(); err != nil {
		t.Fatalf("starting the image's entrypoint as user %d: %v", user, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- exporter.Wait() }()
	t.Cleanup(func() { _ = exporter.Process.Kill() })

	awaitHealthy(t, func() *exec.Cmd { return container(healthcheck...) }, ended, &log)
	if status := string(read(t, fmt.Sprintf("/proc/%d/status", exporter.Process.Pid))); !strings.Contains(status, "CapEff:\t0000000000000000") {
		t.Errorf("the exporter has capabilities:\n%s", status)
	}
	if metrics := get(t, "http://"+address+"/metrics"); !strings.Contains(metrics, "appfigures_token_valid{") {
		t.Errorf("the demo's exposition has no verdict on any token:\n%s", metrics)
	}

	if err := exporter.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after SIGTERM the exporter ended with: %v\n%s", err, log.String())
		}
	case <-time.After(patience):
		t.Errorf("the exporter still runs %s after SIGTERM", patience)
	}
}

// awaitHealthy runs the health check until it succeeds.
func awaitHealthy(t *testing.T, healthcheck func() *exec.Cmd, ended <-chan error, log *bytes.Buffer) {
	t.Helper()
	deadline := time.After(patience)
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		out, err := healthcheck().CombinedOutput()
		if err == nil {
			return
		}
		select {
		case end := <-ended:
			t.Fatalf("the exporter ended with: %v\n%s", end, log.String())
		case <-deadline:
			t.Fatalf("the health check still fails after %s: %v\n%s", patience, err, out)
		case <-retry.C:
		}
	}
}

// mountReadOnly makes the directory read-only, for root too, until the test ends.
func mountReadOnly(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		t.Fatalf("mounting %s on itself: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})
	if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatalf("making %s read-only: %v", dir, err)
	}
	if err := os.WriteFile(dir+"/written", nil, 0o644); err == nil {
		t.Fatalf("%s can be written to although it is mounted read-only", dir)
	}
}

// freeAddress is a loopback address that nothing listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Timeout: patience}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s\n%s", url, response.Status, body)
	}
	return string(body)
}
