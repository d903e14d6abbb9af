# Read by cases: boots a deployment inside a guest that runs already. Each case has a copy of the disk, and a root of its
# own that stands for the initramfs, in which the boot program is run as an initramfs runs it.

. /payload/sysroot.sh

# make_master: two deployments by the real ostree on /disk/master.ext4, $other and then $commit, signed with the key
# "build"; further commits of the second tree; and what else cases put in place.
make_master() {
  cd /disk
  mkdir -p keys /sysroot /sysroot.tmp
  touch /etc/initrd-release
  for name in build stranger; do sealtree keys generate --secret=keys/$name.secret --public=keys/$name >/dev/null; done
  make_disk master.ext4
  mkdir master
  mount -o loop master.ext4 master
  repo=master/ostree/repo
  sign=--sign-from-file=keys/build.secret
  make_tree tree 1
  make_sysroot master $sign --timestamp=@1000000000 --add-metadata-string=version=1
  sealtree rev-parse --repo=$repo os/main >other
  make_tree tree2 2
  seq 40000 >tree2/usr/share/doc/second
  sealtree commit --repo=$repo --branch=os/main --generate-composefs-metadata $sign --timestamp=@1700000000 \
    --add-metadata-string=version=2 --add-metadata-string=product=sealed tree2 >commit
  /usr/bin/ostree admin deploy --sysroot=master --stateroot=os --karg=quiet os/main >/dev/null
  sed -n 's/^options //p' master/boot/loader/entries/ostree-2.conf >cmdline
  # Ours does not let such digests be written: they are the real one's work, which we sign.
  again() {
    /usr/bin/ostree commit --repo=$repo --orphan --parent=none --timestamp=@1700000000 "$@" --tree=ref=os/main
  }
  zeros=$(printf '0x00,%.0s' $(seq 31))0x00
  again >nodigest
  again "--add-metadata=ostree.composefs.digest.v0=[byte 0x01, 0x02]" >short
  again "--add-metadata-string=ostree.composefs.digest.v0=$(cat commit)" >text
  again --generate-composefs-metadata "--add-metadata=ostree.composefs.v0=[byte $zeros]" >two
  for name in nodigest short text two; do
    sealtree sign --repo=$repo --keys-file=keys/build.secret $(cat $name) >/dev/null
  done
  object=master/ostree/repo/objects/$(object_path commit commitmeta)
  cp $object kept
  rm $object
  sealtree sign --repo=$repo --keys-file=keys/stranger.secret $(cat commit) >/dev/null
  cp $object stranger.commitmeta
  rm $object
  mv kept $object
  sealtree ls --repo=$repo --checksum os/main /usr/share/doc/second | grep -oE '[0-9a-f]{64}' |
    sed 's,^..,&/,; s,$,.file,' >object
  umount master
}

# make_ours [MIB]: the same tree deployed by our own verbs alone, on /disk/ours/master.ext4.
make_ours() {
  mkdir /disk/ours
  cd /disk/ours
  make_disk master.ext4 "$@"
  mkdir master
  mount -o loop master.ext4 master
  sealtree admin init-fs --modern master
  sealtree config --repo=master/ostree/repo set ex-integrity.composefs true
  sealtree admin stateroot-init --sysroot=master os
  sealtree commit --repo=master/ostree/repo --branch=os/main --generate-composefs-metadata \
    --sign-from-file=/disk/keys/build.secret /disk/tree2 >commit
  sealtree admin deploy --sysroot=master --stateroot=os --karg=quiet os/main >/dev/null
  sed -n 's/^options //p' master/boot/loader/entries/*.conf >cmdline
  umount master
}

# object_path NAME TYPE: the path below objects of the commit whose checksum is in /disk/NAME.
object_path() { sed "s,^..,&/,; s,\$,.$2," "/disk/$1"; }

# begin [real]: the disk, of /disk or $from, and the initramfs of this case. Sets $sysroot, $repo, $commit, $other,
# $deployment, $link and $cmdline.
begin() {
  from=${from:-/disk}
  cp --sparse=always $from/master.ext4 disk
  mkdir -p root
  if [ "${1:-}" = real ]; then
    mount --bind / root
    for place in tmp run etc/ostree sysroot; do mkdir -p root/$place; mount -t tmpfs tmpfs root/$place; done
  else
    mount -t tmpfs tmpfs root
    mkdir -p root/proc root/sys root/dev root/run root/tmp root/sysroot root/etc/ostree root/usr/lib/ostree \
      root/usr/lib/sealtree
    touch root/etc/initrd-release
    cp /payload/prepare-root root/usr/lib/ostree/ostree-prepare-root
  fi
  mount -t proc proc root/proc
  mount --bind /dev root/dev
  sysroot=root/sysroot
  mount -o loop disk $sysroot
  cp /disk/keys/build root/etc/ostree/initramfs-root-binding.key
  repo=$sysroot/ostree/repo
  commit=$(cat $from/commit)
  other=$(cat /disk/other)
  deployment=$sysroot/ostree/deploy/os/deploy/$commit.0
  # Deployments are immutable, and their names are kept by links with a number that each deploy changes.
  chattr -i $sysroot/ostree/deploy/os/deploy/*.0
  link=$(echo "$(readlink -f $sysroot/ostree/boot.?)"/os/*/0)
  cmdline="root=/dev/vda rw $(cat $from/cmdline)"
}

# config LINE…: prepare-root.conf.
config() { printf '%s\n' "$@" >root/etc/ostree/prepare-root.conf; }

# seal LINE…: makes the initramfs a sealed one that demands mode signed and the key, and these lines of other groups.
seal() {
  { printf '[sealed]\nmode=signed\n'; printf '[keys]\ntrusted=%s\n' "$(cat /disk/keys/build)"; printf '%s\n' "$@"; } \
    >root/usr/lib/sealtree/sealed.conf
}

# redeploy NAME: the deployment becomes one of the commit whose checksum is in /disk/NAME.
redeploy() {
  mv "$deployment" "$sysroot/ostree/deploy/os/deploy/$(cat /disk/$1).0"
  deployment=$sysroot/ostree/deploy/os/deploy/$(cat /disk/$1).0
  ln -sfn ../../../deploy/os/deploy/$(cat /disk/$1).0 $link
}

# replace FILE NEW: with the owner and mode of a file that the repository wrote, and without fs-verity.
replace() { cp "$2" "$1.new"; chmod 644 "$1.new"; mv -f "$1.new" "$1"; }

# boot: runs the program; the case ends with its status if it refuses.
boot() {
  status=0
  chroot root /usr/lib/ostree/ostree-prepare-root /sysroot "$cmdline" || status=$?
  [ $status = 0 ] || { echo "root is $(findmnt -rn -o FSTYPE $sysroot | tail -n 1)"; exit $status; }
}

# look: the mounts, what is writable, and /run/ostree-booted of the system that was booted.
look() {
  sed -n 's,^[0-9]* [0-9]* [0-9:]* \([^ ]*\) /tmp/case/root/sysroot\([^ ]*\) \([^ ]*\)[^-]* - \([^ ]*\) \([^ ]*\) \(.*\),mount /\2 of \1 \3 \4 \5 \6,p' \
    /proc/self/mountinfo | sed "s,/dev/loop[0-9]*,LOOP,; s,//,/,; s,$commit,COMMIT,g; s,transient-etc[.][A-Za-z0-9]*,transient-etc.XXXXXX,g; s,/tmp/case/root,,g"
  for place in / /usr /etc /var /sysroot; do
    if touch $sysroot$place/.probe 2>/dev/null; then rm $sysroot$place/.probe; echo "writable $place"; fi
  done
  cat $sysroot/usr/share/doc/short $sysroot/etc/motd
  [ ! -e root/run/ostree-booted ] || echo "booted $(base64 -w 0 root/run/ostree-booted)"
  [ ! -e root/run/systemd/volatile-root ] || echo "volatile-root $(stat -Lc %F root/run/systemd/volatile-root)"
}
