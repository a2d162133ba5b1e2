#!/usr/bin/env bash
# Runs a command in a network namespace of its own where TCP over loopback has the
# congestion control that Linux prefers unless told otherwise: scripts/cubic.sh COMMAND...
# Under one that paces, as BBR does, measurements over loopback are mostly of its timers.
# Wants root, and iproute2.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: scripts/cubic.sh COMMAND..." >&2; exit 2; }
exec unshare --net bash -euc '
	ip link set lo up
	for net in 127.0.0.0/8 127.0.0.1; do
		ip route replace local $net dev lo table local proto kernel scope host src 127.0.0.1 congctl cubic
	done
	exec "$@"' cubic "$@"
