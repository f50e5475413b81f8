#!/bin/sh
# Builds the release binary: static, without paths of the machine, and the same bytes from the same commit, Go and GO*
# variables.
# The image, `make release` and `make reproducible` all build with it.
#
#   VERSION=… REVISION=… BRANCH=… BUILD_DATE=… sh deploy/build.sh OUTPUT
#
# deploy/stamp.sh prints the four variables for the commit at hand. One that is unset is left out, and the binary
# then says what the Go toolchain knows. GOOS and GOARCH choose the platform.
set -eu

output=$1
package=github.com/prometheus/common/version

# -buildvcs=false: the stamp alone tells where the binary comes from, whether there is a .git or not.
CGO_ENABLED=0 exec go build -trimpath -buildvcs=false -o "$output" -ldflags "-s -w \
	-X $package.Version=${VERSION-} \
	-X $package.Revision=${REVISION-} \
	-X $package.Branch=${BRANCH-} \
	-X $package.BuildDate=${BUILD_DATE-}" .
