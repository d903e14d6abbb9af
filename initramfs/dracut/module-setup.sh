#!/bin/bash
# Installed by `sealtree initramfs install`: puts the boot program, its policy and its units into the initramfs.
# What is missing of it ends dracut: half of it would be an initramfs that verifies less than it should.

check() {
    [[ -x ${dracutsysrootdir-}/usr/lib/sealtree/ostree-prepare-root ]]
}

depends() {
    # The last one for emergency.service, which a refusal ends in.
    echo systemd systemd-initrd dracut-systemd
}

installkernel() {
    # Also where the machine that builds does not use them.
    hostonly='' instmods erofs overlay loop
}

install() {
    local root="${dracutsysrootdir-}" units=/usr/lib/sealtree/systemd file
    # ostree's own module may have put its program and unit there.
    put /usr/lib/sealtree/ostree-prepare-root /usr/lib/ostree/ostree-prepare-root
    while read -r file; do
        put "$units/$file" "/usr/lib/systemd/system/$file"
    done < <(cd "$root$units" && find . -type f -printf '%P\n' | LC_ALL=C sort)
    # A dash before what may be missing.
    while read -r file; do
        [[ $file == -* && ! -e $root${file#-} ]] || put "${file#-}" "${file#-}"
    done < "$root/usr/lib/sealtree/initramfs.files"
    # By it kernel arguments and credentials mask, add and change units.
    [[ ! -e $root/usr/lib/sealtree/sealed.conf ]] ||
        rm -f -- "$initdir/usr/lib/systemd/system-generators/systemd-debug-generator"
}

put() {
    rm -f -- "$initdir$2"
    inst_binary "$1" "$2" && [[ -s $initdir$2 ]] && return
    dfatal "sealtree: $1 cannot be put into the initramfs"
    exit 1
}
