#!/bin/sh
# Prints the version information for a release build, taken from git, one NAME=VALUE per line:
#
#   env $(sh deploy/stamp.sh) sh deploy/build.sh dist/appfigures_exporter
#
# VERSION     1.2.3 at the tag v1.2.3; 1.2.3-4-g0123456789ab four commits later; 0.0.0-g0123456789ab before any
#             tag; with -dirty if tracked files differ from the commit
# REVISION    the full commit hash
# BRANCH      the branch, or HEAD if none is checked out, as for a release from its tag
# BUILD_DATE  when the commit was made (not built, so that builds are reproducible), RFC 3339, UTC
set -eu

commit=$(git rev-parse HEAD)
version=$(git describe --tags --match 'v[0-9]*' --abbrev=12 --dirty 2>/dev/null) ||
	version=v0.0.0-g$(git describe --always --abbrev=12 --exclude '*' --dirty)

echo "VERSION=${version#v}"
echo "REVISION=$commit"
echo "BRANCH=$(git rev-parse --abbrev-ref HEAD)"
echo "BUILD_DATE=$(TZ=UTC git show --no-patch --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ "$commit")"
