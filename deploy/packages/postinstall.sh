#!/bin/sh
# Runs after an installation or upgrade. A running service goes on with the new version. The service is neither enabled
# nor started: it needs a token first.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart appfigures_exporter.service
fi
