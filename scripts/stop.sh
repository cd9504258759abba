#!/usr/bin/env bash
# Stops what `make demo` started: Belljar first, then Docker if setup had to start it. The data stays.
# A Docker daemon of ours in which other containers still run is left running.
set -euo pipefail
HERE=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$HERE/lib/common.sh"
# shellcheck source=scripts/lib/belljar.sh
. "$HERE/lib/belljar.sh"

if [ -z "$(recorded_pid belljar)" ] && [ -z "$(recorded_pid dockerd)" ]; then
	say "nothing that 'make' started is running"
	! belljar_ready || say "(the Belljar at $BELLJAR_SERVER was started in another way; end it there)"
	exit 0
fi
if ! is_root; then
	as_root bash "$HERE/stop.sh"
	exit
fi
if [ -n "$(recorded_pid belljar)" ]; then
	step "stopping Belljar"
	stop_recorded belljar 60 || die "Belljar (pid $(recorded_pid belljar)) did not end within 60 s; see $BELLJAR_LOG_FILE" 70
	say "stopped; its data stays in $BELLJAR_DATA_DIR"
fi
[ -z "$(recorded_pid dockerd)" ] || bash "$HERE/teardown.sh"
