#!/usr/bin/env bash
# A temporary PostgreSQL cluster for the tests, apart from any that the machine runs.
#
#   test-postgres.sh start   makes and starts it unless it runs, prints its URL
#   test-postgres.sh url     prints its URL; exit 1 when it does not run
#   test-postgres.sh stop    stops it and deletes it
#
# The tests read the URL from BELLJAR_TEST_POSTGRES; its user may create databases, one per test.
# Settings are PostgreSQL's own, durable ones. Where ICU is built in, text sorts as a person in the
# United States expects and not by bytes, so that a query which forgot its collation shows.
# The cluster belongs to an unprivileged user and listens on loopback and in its own folder only.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

DIR=${BELLJAR_TEST_POSTGRES_DIR:-${TMPDIR:-/tmp}/belljar-test-postgres.$(id -u)}
OWNER=$(is_root && echo postgres || id -un)

bin_dir() {
	local newest
	newest=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1)
	[ -n "$newest" ] || { have initdb && newest=$(dirname "$(command -v initdb)"); }
	[ -n "$newest" ] || die "PostgreSQL's server is not installed (scripts/setup.sh --for test)" 69
	printf '%s\n' "$newest"
}

# PostgreSQL refuses to run as root.
as_owner() {
	if is_root; then
		(cd "$DIR" && setpriv --reuid "$OWNER" --regid "$OWNER" --init-groups -- env -i PATH="$PATH" HOME="$DIR" LANG=C.UTF-8 "$@")
	else
		"$@"
	fi
}

runs() { [ -s "$DIR/url" ] && as_owner "$(bin_dir)/pg_ctl" -D "$DIR/data" status >/dev/null 2>&1; }

free_port() {
	"$PYTHON" -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

make_cluster() {
	local bin=$1 locale=(--locale=C.UTF-8)
	if [[ $("$bin/initdb" --help) == *--icu-locale* ]]; then locale+=(--locale-provider=icu --icu-locale=en-US); fi
	mkdir -p "$DIR/socket"
	# od, not base64: the password goes into a URL as it is.
	od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$DIR/password"
	chmod 0700 "$DIR" "$DIR/socket" && chmod 0600 "$DIR/password"
	! is_root || chown -R "$OWNER:" "$DIR"
	as_owner "$bin/initdb" -D "$DIR/data" -U belljar --pwfile "$DIR/password" --encoding=UTF8 \
		--auth=scram-sha-256 "${locale[@]}" >"$DIR/initdb.log" 2>&1 || {
		tail -n 20 "$DIR/initdb.log" >&2
		die "initdb failed; its last lines are above" 70
	}
}

start() {
	local bin port
	bin=$(bin_dir)
	if ! runs; then
		remove
		make_cluster "$bin"
		port=$(free_port)
		as_owner "$bin/pg_ctl" -D "$DIR/data" -l "$DIR/log" -w -t 60 start \
			-o "-p $port -k '$DIR/socket' -c listen_addresses=127.0.0.1 -c max_connections=200" >/dev/null || {
			tail -n 20 "$DIR/log" >&2
			die "PostgreSQL does not start; its last lines are above" 70
		}
		printf 'postgresql://belljar:%s@127.0.0.1:%s/postgres\n' "$(cat "$DIR/password")" "$port" >"$DIR/url"
	fi
	cat "$DIR/url"
}

# Deletes only what has the marks of a cluster made here.
remove() {
	[ ! -e "$DIR" ] && return 0
	[ -e "$DIR/password" ] || die "$DIR is there but was not made by this script; remove it yourself" 73
	rm -rf "$DIR"
}

stop() {
	if runs; then as_owner "$(bin_dir)/pg_ctl" -D "$DIR/data" -m fast -w -t 60 stop >/dev/null; fi
	remove
}

case ${1:-} in
start) start ;;
url) runs && cat "$DIR/url" ;;
stop) stop ;;
*) die "usage: test-postgres.sh start|url|stop" 64 ;;
esac
