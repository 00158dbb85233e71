#!/bin/bash
# The first process of the virtual machine: udev, and then the runner until the host is done with it.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export PYTHONDONTWRITEBYTECODE=1
printf '/lab/code\n/lab/packages\n' > /usr/lib/python3/dist-packages/lab.pth # also for programs without environment
mkdir -p /dev/pts /dev/shm /run /tmp
mount -t devpts devpts /dev/pts; mount -t tmpfs run /run; mount -t tmpfs tmp /tmp; mount -t tmpfs shm /dev/shm
mkdir -p /run/udev
hostname lab-machine
mkdir -p /etc/udev/rules.d
ln -sf /dev/null /etc/udev/rules.d/90-alsa-restore.rules # what a headset keeps is to be seen, and not what alsactl sets
/usr/lib/systemd/systemd-udevd --daemon
python3 -m agents.simulated.headset.machine.guest.runner
echo "the runner ended with status $?"
sync
echo o > /proc/sysrq-trigger
sleep 60
