#!/usr/bin/env bash
# Starts Belljar in the background unless it runs: `belljar standalone`, as root, on loopback.
#
# Environment: BELLJAR_DATA_DIR (default /var/lib/belljar), BELLJAR_SERVER (default http://127.0.0.1:8686),
# BELLJAR_LOG_FILE (default /var/log/belljar.log), BELLJAR_BIN. stop.sh ends it.
set -euo pipefail
HERE=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$HERE/lib/common.sh"
# shellcheck source=scripts/lib/belljar.sh
. "$HERE/lib/belljar.sh"

if belljar_ready; then
	say "Belljar is running at $BELLJAR_SERVER"
	pid=$(recorded_pid belljar)
	[ -z "$pid" ] || [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$(readlink -f "$BELLJAR_BIN")" ] ||
		! is_root || warn "it is an older build than $BELLJAR_BIN; 'make stop' and start again for the new one"
	exit 0
fi
[ -x "$BELLJAR_BIN" ] || die "$BELLJAR_BIN is not built yet: make build" 69
if ! is_root; then
	export BELLJAR_BIN BELLJAR_DATA_DIR BELLJAR_LOG_FILE
	as_root bash "$HERE/start.sh"
	exit
fi
step "starting Belljar at $BELLJAR_SERVER (data in $BELLJAR_DATA_DIR, log in $BELLJAR_LOG_FILE)"
start_belljar
