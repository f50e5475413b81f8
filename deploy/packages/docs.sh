#!/bin/sh
# Generates the manual page and the shell completions, for packages and archives, in docs/generated.
set -eu

out=docs/generated
program=$(mktemp -d)/appfigures_exporter
trap 'rm -r "$(dirname "$program")"' EXIT
go build -o "$program" .
rm -rf "$out"
mkdir -p "$out"

"$program" --completion-script-bash >"$out/appfigures_exporter.bash"
"$program" --completion-script-zsh >"$out/_appfigures_exporter"
# kingpin puts the version, which has several lines, into the title, and no description after the name.
"$program" --help-man >"$out/page"
description=$(sed -n '/^\.SH "DESCRIPTION"/ { n; p; }' "$out/page")
{
	echo '.TH appfigures_exporter 1'
	sed -n '/^\.SH "NAME"/,$ p' "$out/page" | sed "2 s/\$/ \\\\- $description/"
} | gzip -9n >"$out/appfigures_exporter.1.gz"
rm "$out/page"
