#!/bin/sh
# Before the package is removed; before an upgrade too, which stops nothing.
set -e
case "$1" in
remove | purge | 0) # dpkg and apk say remove, rpm says how many versions are left
	if [ -d /run/systemd/system ]; then
		systemctl disable --now polywire || true
	fi
	;;
esac
