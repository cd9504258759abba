# shellcheck shell=bash
# What Belljar needs from the operating system, and how Debian and Ubuntu get it.
# Looks for programs, not packages: a Docker CE or a runsc from elsewhere is as good as Debian's.

# requirements PURPOSE: one line per need: "name|package|why". PURPOSE is demo or test.
requirements() {
	local client=docker.io
	# From Debian 13 on the client is a package of its own.
	! apt-cache show docker-cli >/dev/null 2>&1 || client=docker-cli
	cat <<-END
		cc|gcc libc6-dev|cargo links with it
		python3|python3|these scripts use it
		dockerd|docker.io|the container engine
		docker|$client|the client that imports the base image
		runsc|runsc|gVisor, the sandbox that analyses run in
		mkfs.ext4|e2fsprogs|makes the size-limited file systems for results
		losetup|mount|attaches them
		setpriv|util-linux|starts processes without privileges
		mmdebstrap|mmdebstrap|makes the base image for Python analyses
		debian-keyring|debian-archive-keyring|mmdebstrap checks signatures with it
	END
	# Docker loads its profile with it, and starts no container where it cannot.
	[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] ||
		echo 'apparmor_parser|apparmor|this kernel has AppArmor, so Docker needs it'
	[ "$1" != test ] || cat <<-'END'
		initdb|postgresql|the store is tested on it
		chromium|chromium|the web pages are tested in it
	END
}

# Loop devices carry the size-limited file systems for results. Where they are a module, nothing loads it by itself.
ensure_loop_devices() {
	[ -e /dev/loop-control ] || modprobe loop 2>/dev/null || true
	[ -e /dev/loop-control ] ||
		die "this kernel has no loop devices (/dev/loop-control), which results need: load the module 'loop', or in a container pass the device in" 71
}

# is_there NAME: whether a requirement is met on this machine.
is_there() {
	case $1 in
	debian-keyring) [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] ;;
	initdb) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || have initdb ;;
	runsc) [ -n "${RUNSC:-}" ] || have runsc ;;
	*) have "$1" ;;
	esac
}

# missing_requirements PURPOSE: the lines of `requirements` that are not met.
missing_requirements() {
	local line
	requirements "$1" | while IFS= read -r line; do
		is_there "${line%%|*}" || printf '%s\n' "$line"
	done
}

is_debian_like() {
	have apt-get && have dpkg && grep -qsE '^(ID|ID_LIKE)=.*(debian|ubuntu)' /etc/os-release
}

# print_missing LINES: says exactly what a person has to install.
print_missing() {
	local name package why
	say "This machine lacks:"
	while IFS='|' read -r name package why; do
		printf '  %-16s %s (Debian package: %s)\n' "$name" "$why" "$package" >&2
	done <<<"$1"
}

# packages_of LINES: the Debian packages, each once.
packages_of() { cut -d'|' -f2 <<<"$1" | tr ' ' '\n' | sort -u; }

# newest_version PACKAGE: the highest version that the configured apt sources offer.
# Backports do not win by default in apt; Debian 12 has a runsc of December 2022, its backports a newer one.
newest_version() {
	local best='' version
	while read -r version; do
		if [ -z "$best" ] || dpkg --compare-versions "$version" gt "$best"; then best=$version; fi
	done < <(apt-cache madison "$1" | awk -F'|' '{ gsub(/ /, "", $2); print $2 }')
	printf '%s\n' "$best"
}

# Keeps package scripts from starting services where no init would look after them, and PostgreSQL's
# from making a cluster that nobody asked for. Undone by services_unheld.
services_held() {
	mkdir -p "$BELLJAR_STATE_DIR"
	if ! has_systemd && [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod 0755 /usr/sbin/policy-rc.d
		: >"$BELLJAR_STATE_DIR/policy-rc.d.ours"
	fi
	if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
		mkdir -p /etc/postgresql-common/createcluster.d
		echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/belljar-setup.conf
	fi
}

services_unheld() {
	if [ -e "$BELLJAR_STATE_DIR/policy-rc.d.ours" ]; then
		rm -f /usr/sbin/policy-rc.d "$BELLJAR_STATE_DIR/policy-rc.d.ours"
	fi
	rm -f /etc/postgresql-common/createcluster.d/belljar-setup.conf
}

# install_packages PACKAGE…: with apt, as root. Updates the lists first: only called when something is missing.
install_packages() {
	local apt=(apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0) names=() package version log
	log=$(mktemp)
	export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l
	step "installing $*"
	"${apt[@]}" update >>"$log" 2>&1 || warn "apt-get update failed; trying with the lists that are there"
	for package in "$@"; do
		version=
		[ "$package" != runsc ] || version=$(newest_version runsc)
		names+=("$package${version:+=$version}")
	done
	services_held
	trap services_unheld EXIT
	if ! "${apt[@]}" install --no-install-recommends "${names[@]}" >>"$log" 2>&1; then
		cat "$log" >&2
		die "apt-get could not install: ${names[*]} (its messages are above)" 69
	fi
	services_unheld
	trap - EXIT
	rm -f "$log"
}

# ensure_packages PURPOSE: installs what is missing, or says what it is and ends.
# Twice, for on a new machine apt knows only after the first update how a package is called.
ensure_packages() {
	local missing packages
	for _ in first second; do
		missing=$(missing_requirements "$1")
		[ -n "$missing" ] || return 0
		if ! is_debian_like; then
			print_missing "$missing"
			die "this script installs packages on Debian and Ubuntu only; install the above, then run it again" 69
		fi
		mapfile -t packages < <(packages_of "$missing")
		install_packages "${packages[@]}"
	done
	missing=$(missing_requirements "$1")
	[ -n "$missing" ] || return 0
	print_missing "$missing"
	die "the packages are installed, yet the above is not on PATH" 69
}
