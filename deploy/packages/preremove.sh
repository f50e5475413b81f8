#!/bin/sh
# Runs before a removal ("remove" from dpkg, 0 from rpm) or upgrade.
set -e

case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now appfigures_exporter.service
	fi
	;;
esac
