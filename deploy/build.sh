#!/bin/sh
# Builds the release binary: static, without paths of the build machine. The same commit, Go release and GO* variables
# give the same bytes. The image and `make reproducible` use it; .goreleaser.yaml has the same flags.
#
#   VERSION=… REVISION=… BRANCH=… BUILD_DATE=… sh deploy/build.sh OUTPUT
#
# deploy/stamp.sh prints the four variables for the current commit; each is optional. GOOS and GOARCH choose the
# platform.
set -eu

output=$1
package=github.com/prometheus/common/version

# -buildvcs=false: the binary is the same with and without a .git directory.
CGO_ENABLED=0 exec go build -trimpath -buildvcs=false -o "$output" -ldflags "-s -w \
	-X $package.Version=${VERSION-} \
	-X $package.Revision=${REVISION-} \
	-X $package.Branch=${BRANCH-} \
	-X $package.BuildDate=${BUILD_DATE-}" .
