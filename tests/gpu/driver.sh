#!/usr/bin/env bash
# A Vulkan driver for `make test-gpu`: as root, Mesa's, which also computes on the CPU, is installed if there is none.
set -euo pipefail

drivers() { compgen -G '/usr/share/vulkan/icd.d/*.json' || compgen -G '/etc/vulkan/icd.d/*.json'; }

if ! drivers >/dev/null; then
  [ "$(id -u)" = 0 ] || { echo "no Vulkan driver is installed: install one, such as mesa-vulkan-drivers" >&2; exit 2; }
  apt-get update -qq
  apt-get install -y -qq libvulkan1 mesa-vulkan-drivers
fi
drivers
