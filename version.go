package main

import (
	"runtime/debug"
	"strings"

	"github.com/prometheus/common/version"
)

// stampVersion sets the version that no linker flag has set to what the Go toolchain wrote into the binary: the
// release for `go install MODULE@VERSION`, a pseudo-version in a checkout. The client library finds the commit itself.
func stampVersion() {
	if version.Version != "" {
		return
	}
	version.Version = "devel"
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		version.Version = strings.TrimPrefix(info.Main.Version, "v")
	}
}
