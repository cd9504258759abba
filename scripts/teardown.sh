#!/usr/bin/env bash
# Stops what setup.sh started, and nothing else: a dockerd that was there before is not ours to stop.
# Packages, the user and daemon.json stay. A dockerd of ours in which containers still run is left
# running unless --force is given.
set -euo pipefail

HERE=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$HERE/lib/common.sh"
# shellcheck source=scripts/lib/docker.sh
. "$HERE/lib/docker.sh"

force=
case ${1:-} in '') ;; --force) force=1 ;; *) die "usage: teardown.sh [--force]" 64 ;; esac

if [ -z "$(recorded_pid dockerd)" ]; then
	say "setup started no dockerd that still runs; nothing to stop"
	exit 0
fi
if ! is_root; then
	as_root bash "$HERE/teardown.sh" "$@"
	exit
fi
running=$(docker_api running 2>/dev/null || true)
if [ -n "$running" ] && [ -z "$force" ]; then
	say "$running"
	die "the containers above still run in the dockerd that setup started; it stays (--force ends them)" 75
fi
step "stopping the dockerd that setup started"
stop_recorded dockerd 60 || die "dockerd (pid $(recorded_pid dockerd)) did not end within 60 s; see $DOCKERD_LOG" 70
