#!/usr/bin/env bash
# Gets this machine ready for Belljar. Safe to run again: it changes only what is not yet as it should be.
#
# Installs missing packages (Debian and Ubuntu, as root or through sudo), makes the system user `belljar`,
# registers gVisor as the Docker runtime `belljar-runsc`, and starts dockerd where no init does.
# Anywhere else, or without the rights, it says exactly what to install. What it starts it records;
# teardown.sh stops that and nothing else.
set -euo pipefail

HERE=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$HERE/lib/common.sh"
# shellcheck source=scripts/lib/packages.sh
. "$HERE/lib/packages.sh"
# shellcheck source=scripts/lib/docker.sh
. "$HERE/lib/docker.sh"

usage() {
	cat <<'END'
usage: setup.sh [--for demo|test] [--runsc PATH] [--restart-docker] [--check]

  --for demo        only what running Belljar needs
  --for test        that, and what the tests need (PostgreSQL, Chromium); the default
  --runsc PATH      register this runsc (or RUNSC=PATH): a newer gVisor than the system's
  --restart-docker  allow a restart of the Docker daemon even while containers run in it
  --check           change nothing; say what is missing

Environment: DAEMON_JSON (default /etc/docker/daemon.json), DOCKER_HOST (a unix:// socket),
BELLJAR_DOCKERD_ARGS (arguments for a dockerd that this script starts), BELLJAR_STATE_DIR.
Exit codes: 0 ready, 64 usage, 65 daemon.json refused, 69 something missing or not starting,
75 the daemon needs a restart that was not allowed, 77 no rights, 78 a setting is wrong.
END
}

ARGUMENTS=("$@")
purpose=test
check=
while [ $# -gt 0 ]; do
	case $1 in
	--for) purpose=${2:-} && shift ;;
	--runsc) RUNSC=${2:-} && shift ;;
	--restart-docker) RESTART_DOCKER=1 ;;
	--check) check=1 ;;
	-h | --help) usage && exit 0 ;;
	*) usage >&2 && exit 64 ;;
	esac
	shift
done
case $purpose in demo | test) ;; *) usage >&2 && exit 64 ;; esac
export RUNSC=${RUNSC:-}

[ "$(uname -s)" = Linux ] || die "Belljar runs analyses on Linux only; this is $(uname -s)" 69

# What a --check finds; also what someone without the rights is told.
report() {
	local missing
	missing=$(missing_requirements "$purpose")
	[ -z "$missing" ] || print_missing "$missing"
	[ -z "$missing" ] || ! is_debian_like || say "On this system: apt-get install $(packages_of "$missing" | tr '\n' ' ')"
	id -u belljar >/dev/null 2>&1 || say "There is no system user 'belljar' (the server's unprivileged user)."
	if docker_answers; then
		runtime_known >/dev/null || say "The Docker daemon has no runtime '$RUNTIME_NAME' ($DAEMON_JSON)."
	else
		say "No Docker daemon answers to this user on $(docker_socket)."
	fi
	[ -z "$missing" ] && docker_answers && runtime_known >/dev/null && id -u belljar >/dev/null 2>&1
}

if [ -n "$check" ]; then
	report || exit 69
	say "ready for: $purpose"
	exit 0
fi

if ! is_root; then
	if have sudo; then
		step "this needs root: going on through sudo"
		as_root bash "$HERE/setup.sh" "${ARGUMENTS[@]}"
		exit
	fi
	report || true
	die "this needs root, and there is no sudo: run '$0' as root" 77
fi

ensure_packages "$purpose"
ensure_loop_devices
if ! id -u belljar >/dev/null 2>&1; then
	step "making the system user belljar"
	useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin belljar
fi
runsc=$(runsc_path) || exit $?
register_runtime "$runsc"
ensure_dockerd
activate_runtime "$runsc"
version=$("$runsc" --version)
say "ready: ${version%%$'\n'*} is the Docker runtime $RUNTIME_NAME"
