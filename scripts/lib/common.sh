# shellcheck shell=bash
# What every script here shares: how it talks, where it keeps what it started, how it becomes root.
# Sourced, never run. Leaves Docker to docker.sh and packages to packages.sh.

# The project's root, whatever folder the caller stands in.
BELLJAR_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Records (pid and start time) of the processes that these scripts started, one file each.
# Below /run on purpose: a reboot ends the processes and the records together.
BELLJAR_STATE_DIR=${BELLJAR_STATE_DIR:-/run/belljar-setup}

# dockerd, mkfs.ext4 and losetup live where Debian's ordinary users do not look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Debian's interpreter rather than whatever a version manager puts first on PATH.
PYTHON=${PYTHON:-$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)}

say() { printf '%s\n' "$*" >&2; }
step() { printf '==> %s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }

# die MESSAGE [EXIT CODE]: says what is wrong on stderr and ends the script.
die() {
	printf 'error: %s\n' "$1" >&2
	exit "${2:-1}"
}

have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# Runs a command as root: directly, or through sudo, which may ask for a password on a terminal.
as_root() {
	if is_root; then
		"$@"
	elif have sudo; then
		sudo --preserve-env=BELLJAR_BIN,BELLJAR_DATA_DIR,BELLJAR_DOCKERD_ARGS,BELLJAR_DOCKER_SOCKET,BELLJAR_LOG_FILE,BELLJAR_SERVER,BELLJAR_STATE_DIR,BELLJAR_TOKEN_FILE,DAEMON_JSON,DOCKER_HOST,RUNSC -- "$@"
	else
		die "this needs root: run it as root, or install sudo ($*)" 77
	fi
}

# The start time of a process in clock ticks (proc(5), field 22), empty when it does not run.
# Together with the pid it names one process for good: pids are used again, this pair is not.
# A zombie has ended: it only waits for an init that is slow to notice.
process_start() {
	local fields
	fields=$(sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null) || return 0
	[ "${fields%% *}" = Z ] || cut -d' ' -f20 <<<"$fields"
}

# record_pid NAME PID: remembers that we started PID.
record_pid() {
	mkdir -p "$BELLJAR_STATE_DIR"
	printf '%s %s\n' "$2" "$(process_start "$2")" >"$BELLJAR_STATE_DIR/$1.pid"
}

# recorded_pid NAME: prints the pid if the process that we recorded still runs, else nothing.
recorded_pid() {
	local pid start
	[ -r "$BELLJAR_STATE_DIR/$1.pid" ] || return 0
	read -r pid start <"$BELLJAR_STATE_DIR/$1.pid" || return 0
	[ -n "$start" ] && [ "$(process_start "$pid")" = "$start" ] && printf '%s\n' "$pid"
	return 0
}

# wait_until SECONDS COMMAND…: runs COMMAND until it succeeds; fails when the time is over.
wait_until() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.1
	done
}

# stop_recorded NAME SECONDS: SIGTERM to a process that we started, and wait for its end.
# Never SIGKILL: the caller decides what a process that does not end means.
stop_recorded() {
	local pid
	pid=$(recorded_pid "$1")
	if [ -n "$pid" ]; then
		kill -TERM "$pid" 2>/dev/null || true
		wait_until "$2" recorded_ended "$1" || return 1
	fi
	rm -f "$BELLJAR_STATE_DIR/$1.pid"
}

recorded_ended() { [ -z "$(recorded_pid "$1")" ]; }

# start_detached NAME LOG COMMAND…: starts COMMAND in a session of its own, with no descriptor of
# ours (a daemon that held make's pipe would keep `make | tee` from ending), and records it.
start_detached() {
	local name=$1 log=$2 pid
	shift 2
	mkdir -p "$(dirname "$log")" "$BELLJAR_STATE_DIR"
	pid=$("$PYTHON" -c '
import subprocess, sys
with open(sys.argv[1], "ab") as log:
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                             start_new_session=True, close_fds=True, cwd="/")
print(child.pid)' "$log" "$@") || return 1
	record_pid "$name" "$pid"
}
