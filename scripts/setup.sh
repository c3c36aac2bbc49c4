#!/usr/bin/env bash
# Install what sampan needs and is missing: Debian packages by apt, Python packages into .venv. Safe to repeat.
# usage: scripts/setup.sh [dev]     dev adds what `make lint` and `make test` need
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m%s\033[0m\n' "$*"; }

if [ "$(id -u)" -ne 0 ]; then
    echo "setup installs Debian packages and needs root: run \`sudo make setup\`" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    echo "apt-get is missing: sampan's set-up knows Debian and Ubuntu; docs/architecture.md lists the programs to install" >&2
    exit 1
fi

packages=(containerd runc containernetworking-plugins nftables docker-registry buildah skopeo busybox-static conntrack
          iproute2 iptables python3-venv ca-certificates curl)
[ "${1:-}" = dev ] && packages+=(wrk git procps etcd-server openssl)
missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    say "Installing ${missing[*]}"
    apt-get update -qq
    # policy-rc.d keeps the packages' own containerd and registry services from starting: sampan runs private ones
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

python=""
for candidate in python3 python3.13 python3.12 python3.11; do
    # a name on the PATH may be a version manager's stand-in that runs nothing
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "sampan needs Python 3.11 or newer; install it: apt-get install python3.11 python3.11-venv" >&2
    exit 1
fi
[ -x .venv/bin/python ] || { say "Creating .venv"; "$python" -m venv .venv; }
extra=""; [ "${1:-}" = dev ] && extra="[dev]"
stamp=".venv/.installed${extra:+-dev}"
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ hatch_build.py -nt "$stamp" ] || [ facts -nt "$stamp" ]; then
    say "Installing sampan${extra} into .venv"
    .venv/bin/python -m pip install -q --disable-pip-version-check -e ".$extra"
    touch "$stamp"
fi
cp -u /bin/busybox examples/kubia/rootfs/bin/busybox
