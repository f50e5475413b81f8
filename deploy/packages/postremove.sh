#!/bin/sh
# Runs after a removal or upgrade. rpm has no purge: it leaves the state, the tokens and a changed configuration.
set -e

case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
	fi
	;;
purge)
	# With DynamicUser= the state directory is a link into private/.
	rm -rf /etc/appfigures_exporter /var/lib/appfigures_exporter /var/lib/private/appfigures_exporter
	;;
esac
