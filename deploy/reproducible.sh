#!/bin/sh
# Builds the current commit for release in two directories, the second time with an empty build cache, and fails if the
# two binaries differ. Uncommitted changes are not built.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# build CLONE CACHE BINARY: clones the repository to CLONE and builds BINARY there with the build cache CACHE.
build() {
	git clone --quiet . "$1"
	(
		cd "$1"
		# shellcheck disable=SC2046 # one word per variable
		env $(sh deploy/stamp.sh) GOCACHE="$2" sh deploy/build.sh "$3"
	)
}

build "$dir/first" "$(go env GOCACHE)" "$dir/binary"
build "$dir/elsewhere/and/deeper/second" "$dir/cache" "$dir/again"

if ! cmp "$dir/binary" "$dir/again"; then
	echo 'two builds of the same commit differ' >&2
	exit 1
fi
echo "both builds are $(sha256sum "$dir/binary" | cut -d ' ' -f 1)"
