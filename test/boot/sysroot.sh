# Read by cases: a small system with everything that a deployment needs, deployed on a file system of its own.

# make_tree DIRECTORY: the root of the system; its kernel and initramfs are only names.
make_tree() {
  mkdir -p "$1/usr/bin" "$1/usr/etc" "$1/usr/lib/modules/1.0" "$1/usr/lib/ostree" "$1/usr/share/doc" "$1/sysroot" \
    "$1/var" "$1/boot" "$1/proc" "$1/sys" "$1/dev" "$1/run" "$1/tmp"
  ln -s sysroot/ostree "$1/ostree"
  ln -s usr/bin "$1/bin"
  ln -s var/home "$1/home"
  cp /usr/bin/busybox "$1/usr/bin/busybox"
  seq 30000 >"$1/usr/share/doc/long"
  echo short >"$1/usr/share/doc/short"
  setfattr -n user.note -v remark "$1/usr/share/doc/short" 2>/dev/null || true
  printf 'ID=sealed\nVERSION_ID=%s\nPRETTY_NAME="Sealed %s"\n' "${2:-1}" "${2:-1}" >"$1/usr/lib/os-release"
  ln -s ../usr/lib/os-release "$1/usr/etc/os-release"
  echo "version ${2:-1}" >"$1/usr/etc/motd"
  echo kernel >"$1/usr/lib/modules/1.0/vmlinuz"
  echo initramfs >"$1/usr/lib/modules/1.0/initramfs.img"
  chmod 1777 "$1/tmp"
}

# make_disk FILE [MIB]: an empty ext4 with fs-verity, or what $mkfs makes.
make_disk() {
  truncate -s "${2:-64}M" "$1"
  ${mkfs:-mkfs.ext4 -q -O verity -b 4096} "$1"
}

# attach FILE DIRECTORY: mounts it until the case ends.
attach() {
  mkdir -p "$2"
  mount -o loop "$1" "$2"
}

# make_sysroot DIRECTORY COMMIT-OPTIONS…: a physical root with one deployment of /tmp/case/tree, by the real ostree.
# The configuration of the tree must be in place. Prints nothing; the keys are /disk/keys/{secret,public}.
make_sysroot() {
  sysroot=$1
  shift
  /usr/bin/ostree admin init-fs --modern "$sysroot" >/dev/null
  /usr/bin/ostree config --repo="$sysroot/ostree/repo" set ex-integrity.composefs true
  /usr/bin/ostree admin stateroot-init --sysroot="$sysroot" os >/dev/null
  sealtree commit --repo="$sysroot/ostree/repo" --branch=os/main --generate-composefs-metadata "$@" tree >/dev/null
  /usr/bin/ostree admin deploy --sysroot="$sysroot" --stateroot=os --karg=quiet os/main >/dev/null
}

# damage DISK FILE OFFSET: changes a byte on the disk below the file system, as the kernel sees once it reads again.
damage() {
  sync
  place=$(filefrag -v "$2" | sed -n 's/^ *0: *0\.\. *[0-9]*: *\([0-9]*\)\.\..*/\1/p')
  old=$(od -A n -t u1 -j $((place * 4096 + $3)) -N 1 "$1")
  printf "\\$(printf %o $((old ^ 1)))" | dd of="$1" bs=1 seek=$((place * 4096 + $3)) conv=notrunc status=none
  sync
  echo 3 >/proc/sys/vm/drop_caches
}
