#!/bin/bash
# boot_systemd.sh WORK SOURCE DEPENDENCIES: systemd as PID 1 of namespaces of its own, over a throw-away overlay of this
# host's root; SOURCE is at /opt/vaultd and DEPENDENCIES at /opt/vaultd/deps, both read-only. Runs until it is killed.
# Where something is mounted at WORK/m already, that is its disk, and a second boot goes on where the first ended.
# WORK/pid gets the pid that unshare has outside; PID 1 is its child.
set -eu
WORK=$1 SOURCE=$2 DEPENDENCIES=$3
groups=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)/vaultd-test-$(basename "$WORK")
mkdir -p "$WORK/m" "$groups"
echo "$groups" > "$WORK/cgroup"
echo $$ > "$groups/cgroup.procs"
echo $$ > "$WORK/pid"
exec unshare --mount --propagation private --pid --fork --kill-child --uts --ipc --net --cgroup bash -c '
set -eu
W=$1/m SOURCE=$2 DEPENDENCIES=$3
hostname vaultd-test
ip link set lo up 2>/dev/null || true
mountpoint -q $W || mount -t tmpfs -o size=2g,mode=755 tmpfs $W
mkdir -p $W/up $W/wk $W/root
chmod 755 $W/up
mount -t overlay overlay -o lowerdir=/,upperdir=$W/up,workdir=$W/wk $W/root
R=$W/root
if [ ! -e $W/booted ]; then
    rm -rf $R/etc/systemd/system $R/etc/machine-id
    mkdir -p $R/etc/systemd/system
    : > $R/etc/machine-id
fi
: > $W/booted
for unit in systemd-firstboot.service systemd-networkd.service systemd-networkd.socket systemd-resolved.service \
    systemd-timesyncd.service systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-udev-trigger.service getty@.service getty-static.service console-getty.service getty.target \
    systemd-logind.service; do
    ln -sf /dev/null $R/etc/systemd/system/$unit
done
mkdir -p $R/opt/vaultd
mount --bind $SOURCE $R/opt/vaultd
mount -o remount,bind,ro $R/opt/vaultd
mount --bind $DEPENDENCIES $R/opt/vaultd/deps
mount -o remount,bind,ro $R/opt/vaultd/deps
mount -t proc -o nosuid,nodev,noexec proc $R/proc
mount --bind $R/proc/sys $R/proc/sys
mount -o remount,bind,ro $R/proc/sys
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs $R/sys
mount -t cgroup2 -o nsdelegate none $R/sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid tmpfs $R/dev
mkdir $R/dev/pts $R/dev/shm
for device in null zero full random urandom tty; do
    touch $R/dev/$device
    mount --bind /dev/$device $R/dev/$device
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts $R/dev/pts
ln -s pts/ptmx $R/dev/ptmx
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs $R/dev/shm
ln -s /proc/self/fd $R/dev/fd
ln -s fd/0 $R/dev/stdin
ln -s fd/1 $R/dev/stdout
ln -s fd/2 $R/dev/stderr
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs $R/tmp  # or systemd-tmpfiles tidies up that of this host, for seconds
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs $R/run
mkdir -p $R/run/lock $R/oldroot
cd $R
pivot_root . oldroot
umount -l /oldroot
mount --make-rshared /  # systemd does not do this itself in a container; LoadCredential= needs it
exec env -i container=vaultd-test PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    /lib/systemd/systemd --system --log-target=journal --show-status=no
' _ "$WORK" "$SOURCE" "$DEPENDENCIES"
