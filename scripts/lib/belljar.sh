# shellcheck shell=bash
# The Belljar that `make demo` starts: where it is, whether it answers, how to start and stop it.

BELLJAR_BIN=${BELLJAR_BIN:-${CARGO_TARGET_DIR:-$BELLJAR_ROOT/target}/debug/belljar}
BELLJAR_DATA_DIR=${BELLJAR_DATA_DIR:-/var/lib/belljar}
BELLJAR_LOG_FILE=${BELLJAR_LOG_FILE:-/var/log/belljar.log}
export BELLJAR_SERVER=${BELLJAR_SERVER:-http://127.0.0.1:8686}
export BELLJAR_TOKEN_FILE=${BELLJAR_TOKEN_FILE:-$BELLJAR_DATA_DIR/token}
# The daemon that setup talks to is the one that Belljar uses.
case ${DOCKER_HOST:-} in unix://*) export BELLJAR_DOCKER_SOCKET=${BELLJAR_DOCKER_SOCKET:-${DOCKER_HOST#unix://}} ;; esac

# belljar_ready: whether the server says that it is ready to work.
belljar_ready() {
	"$PYTHON" -c '
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.exit(opener.open(sys.argv[1] + "/readyz", timeout=5).status != 200)' "$BELLJAR_SERVER" >/dev/null 2>&1
}

belljar_ready_or_dead() { belljar_ready || recorded_ended belljar; }

# start_belljar: as root, because the executor needs it; the server part drops its rights by itself.
start_belljar() {
	local from=0
	[ ! -f "$BELLJAR_LOG_FILE" ] || from=$(wc -c <"$BELLJAR_LOG_FILE")
	start_detached belljar "$BELLJAR_LOG_FILE" "$BELLJAR_BIN" standalone \
		--data-dir "$BELLJAR_DATA_DIR" --listen "${BELLJAR_SERVER#http://}"
	wait_until 60 belljar_ready_or_dead || true
	belljar_ready && return 0
	tail -c "+$((from + 1))" "$BELLJAR_LOG_FILE" | tail -n 20 >&2
	if recorded_ended belljar; then
		die "Belljar did not start; what it said is above and in $BELLJAR_LOG_FILE" 70
	fi
	die "Belljar runs but is not ready after 60 s; see $BELLJAR_LOG_FILE" 70
}
