#!/usr/bin/env bash
# Commits a root file system tree so that only its own initramfs boots it, and it boots nothing but what its initramfs
# was built for: a new key is made for this one commit, its public half goes into the initramfs inside the tree, the
# commit is signed, and the secret half is gone when this script ends.
#
#   keys/seal-tree.sh [--stored-key] TREE REPO BRANCH
#
# TREE needs usr/lib/modules/VERSION/initramfs.img; the public key is added to it as one more archive, which every kernel
# unpacks after those that are there. To build the initramfs with your own tools instead, set BUILD_INITRAMFS to a command:
# it is called with TREE and the file of the public key.
#
# --stored-key keeps the secret half in a file of a memory file system while the commit is made, for builders that cannot
# hand a file descriptor on, and destroys it afterwards.
#
# The environment may say: SEALTREE (the command, default sealtree), MODE (of a new repository, default bare).
set -euo pipefail

sealtree=${SEALTREE:-sealtree}
self=$(readlink -f "$0")
configuration=${self%/*}/../conf/prepare-root.conf

main() {
  local stored=no
  if [ "${1:-}" = --stored-key ]; then stored=yes; shift; fi
  [ $# -eq 3 ] || { echo "usage: $0 [--stored-key] TREE REPO BRANCH" >&2; exit 2; }
  local tree=$1 repo=$2 branch=$3

  [ -e "$repo/config" ] || "$sealtree" init --repo="$repo" --mode="${MODE:-bare}"
  "$sealtree" config --repo="$repo" set ex-integrity.composefs true

  # What is made on the way goes away with the script: the directory is in memory.
  scratch=$(mktemp -d -p "$(memory_directory)" sealtree-key.XXXXXX)
  trap 'destroy "$scratch"' EXIT
  local public=$scratch/initramfs-root-binding.key

  if [ "$stored" = yes ]; then
    "$sealtree" keys generate --secret="$scratch/secret.key" --public="$public" >/dev/null
    build_and_commit "$tree" "$repo" "$branch" "$public" --sign-from-file="$scratch/secret.key"
    destroy_file "$scratch/secret.key"
  else
    # The command after -- runs while the key exists, and finds the secret half on a file descriptor.
    "$sealtree" keys transient --public="$public" -- "$self" --with-key "$tree" "$repo" "$branch" "$public"
  fi

  "$sealtree" verify --repo="$repo" --keys-file="$public" "$branch"
  "$sealtree" keys show "$public"
}

# What happens between the birth of the key and its end.
build_and_commit() {
  local tree=$1 repo=$2 branch=$3 public=$4 sign=$5 bootable=
  if [ -n "${BUILD_INITRAMFS:-}" ]; then
    $BUILD_INITRAMFS "$tree" "$public"
  else
    add_to_initramfs "$tree" "$public"
  fi
  ! compgen -G "$tree/usr/lib/modules/*/vmlinuz" >/dev/null || bootable=--bootable
  "$sealtree" commit --repo="$repo" --branch="$branch" --tree=dir="$tree" \
    $bootable --generate-composefs-metadata "$sign"
}

# Adds the public key and a configuration that demands a signature, where ostree's and sealtree's initramfs look for them.
add_to_initramfs() {
  local tree=$1 public=$2 image found=no
  for image in "$tree"/usr/lib/modules/*/initramfs.img; do
    [ -e "$image" ] || continue
    found=yes
    # A copy, in case the file is a hard link that others have as well.
    cp -p "$image" "$image.new"
    # Archives after the first begin at a multiple of four bytes.
    truncate -s %4 "$image.new"
    {
      archive_entry etc 040755 /dev/null
      archive_entry etc/ostree 040755 /dev/null
      archive_entry etc/ostree/initramfs-root-binding.key 0100644 "$public"
      archive_entry etc/ostree/prepare-root.conf 0100644 "$configuration"
      archive_entry 'TRAILER!!!' 0 /dev/null
    } >>"$image.new"
    mv "$image.new" "$image"
  done
  [ "$found" = yes ] || { echo "$tree: no usr/lib/modules/VERSION/initramfs.img" >&2; exit 1; }
}

# One entry of an initramfs archive (cpio "newc": Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
archive_entry() {
  local name=$1 mode=$2 content=$3 size=0
  [ "$content" = /dev/null ] || size=$(stat -c %s "$content")
  printf '070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\0' \
    0 "$mode" 0 0 1 0 "$size" 0 0 0 0 $((${#name} + 1)) 0 "$name"
  pad $((110 + ${#name} + 1))
  [ "$size" = 0 ] || cat "$content"
  pad "$size"
}

# Zeros up to the next multiple of four.
pad() {
  head -c $(((4 - $1 % 4) % 4)) /dev/zero
}

memory_directory() {
  local directory
  for directory in "${XDG_RUNTIME_DIR:-}" /run /dev/shm; do
    if [ -n "$directory" ] && [ -w "$directory" ] && [ "$(stat -f -c %T "$directory")" = tmpfs ]; then
      echo "$directory"
      return
    fi
  done
  echo "no memory file system that can be written: /run, /dev/shm" >&2
  exit 1
}

destroy() {
  [ ! -e "$1/secret.key" ] || destroy_file "$1/secret.key"
  rm -rf "$1"
}

# Overwrites a file before its name goes: memory that is given back is not cleared at once.
destroy_file() {
  dd if=/dev/zero of="$1" bs="$(stat -c %s "$1")" count=1 conv=notrunc status=none
  rm -f "$1"
}

if [ "${1:-}" = --with-key ]; then
  shift
  scratch=$(dirname "$4")
  build_and_commit "$@" --sign-fd="$SEALTREE_SIGN_FD"
else
  main "$@"
fi
