#!/bin/sh
# After an installation or an upgrade. Nothing is started that was not running.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if systemctl is-active --quiet polywire; then
		# The new program takes over the sockets, and no client is refused. If it does not
		# serve with the configuration that is there, the old one goes on, and the log says why.
		systemctl kill --kill-who=main --signal=SIGUSR2 polywire
	fi
fi
