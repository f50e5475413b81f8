#!/bin/sh
# Prints the section of a version in CHANGELOG.md; fails if there is none.
set -eu
awk -v version="$1" '
	/^## / { found = $2 == version; next }
	found { print; lines++ }
	END { if (!lines) { print "CHANGELOG.md has no section \"## " version "\"" >"/dev/stderr"; exit 1 } }
' CHANGELOG.md
