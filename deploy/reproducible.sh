#!/bin/sh
# Builds the current commit for release in two directories, the second time with an empty build cache, and fails if the
# two binaries of a platform differ. Uncommitted changes are not built.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# build CLONE CACHE: clones the repository to CLONE and builds it for each platform with the build cache CACHE.
build() {
	git clone --quiet . "$1"
	(
		cd "$1"
		export GOCACHE="$2"
		stamp=$(sh deploy/stamp.sh)
		for arch in amd64 arm64; do
			# shellcheck disable=SC2086 # one word per variable
			env $stamp GOOS=linux GOARCH=$arch sh deploy/build.sh "$dir/$(basename "$1")-$arch"
		done
	)
}

build "$dir/first" "$(go env GOCACHE)"
build "$dir/elsewhere/and/deeper/second" "$dir/cache"

for arch in amd64 arm64; do
	if ! cmp "$dir/first-$arch" "$dir/second-$arch"; then
		echo "two builds of the same commit for $arch differ" >&2
		exit 1
	fi
	echo "$arch: both builds are $(sha256sum "$dir/first-$arch" | cut -d ' ' -f 1)"
done
