#!/usr/bin/env bash
# One stage of a build pipeline: from a root file system tree to a disk that boots it and nothing else. The tree is what
# the stage before made, as osbuild, mkosi or `podman export` of a bootc image leave it. Needs root, for the owners of files.
#
#   keys/build-disk.sh TREE OUTPUT
#
# OUTPUT gets: repo (the signed commit, for updates), initramfs-root-binding.key (public, for whoever verifies), disk.raw,
# SHA256SUMS, and with a key for Secure Boot os.efi. The key that signs the commit is made in memory and is gone when
# `seal` ends: no secret of this stage needs keeping, and none can be stolen later. SECURE_BOOT_KEY is another matter: it
# lives as long as the firmware trusts it, and belongs to this one stage, from the secret store of the pipeline.
#
# The environment may say: SEALTREE (the command, default sealtree), BRANCH (default os), KERNEL_ARGUMENTS (between
# blanks), SEAL_OPTIONS (more options of `sealtree seal`, between blanks), DISK_SIZE, SECURE_BOOT_KEY and
# SECURE_BOOT_CERTIFICATE (PEM files), SOURCE_DATE_EPOCH (time of the commit).
set -euo pipefail

sealtree=${SEALTREE:-sealtree}
branch=${BRANCH:-os}

[ $# -eq 2 ] || { echo "usage: $0 TREE OUTPUT" >&2; exit 2; }
tree=$1 output=$2

seal=(--output="$output" --branch="$branch")
image=(--repo="$output/repo" --ref="$branch" --output="$output/disk.raw")
for argument in ${KERNEL_ARGUMENTS:-}; do
  seal+=(--karg="$argument")
  image+=(--karg="$argument")
done
if [ -n "${SECURE_BOOT_KEY:-}" ]; then
  # Firmware with Secure Boot on starts this file, and nothing that is put in its place.
  seal+=(--uki="$output/os.efi" --secure-boot-key="$SECURE_BOOT_KEY" --certificate="$SECURE_BOOT_CERTIFICATE")
  image+=(--boot-file=EFI/Linux/os.efi="$output/os.efi")
fi
[ -z "${DISK_SIZE:-}" ] || image+=(--size="$DISK_SIZE")

# shellcheck disable=SC2086
"$sealtree" seal "${seal[@]}" ${SEAL_OPTIONS:-} "$tree"
"$sealtree" image "${image[@]}"
# The disk itself is what leaves the pipeline, so the disk itself is verified.
"$sealtree" image verify --keys-file="$output/initramfs-root-binding.key" "$output/disk.raw"
cd "$output"
sha256sum disk.raw initramfs-root-binding.key >SHA256SUMS
