# Runs as the first process of a host that tests/cluster/hosts.py makes: files of its own, then an ssh server.
#
#   host.sh NAME LAB PREFIX BASE_PREFIX PROJECT
#
# LAB is shared by all hosts. PREFIX is the virtual environment and BASE_PREFIX the Python it was made from: the host gets
# its own writable view of the first. PROJECT is hidden: a host has the files that were brought to it, and no others.
set -eu
name=$1 lab=$2 prefix=$3 base_prefix=$4 project=$5
hostname "$name"
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /mnt
mkdir /mnt/lab /mnt/base /mnt/venv /mnt/changes /mnt/changes/files /mnt/changes/work
mount --bind "$lab" /mnt/lab
mount --bind "$base_prefix" /mnt/base
mount -t overlay overlay -o "lowerdir=$prefix,upperdir=/mnt/changes/files,workdir=/mnt/changes/work" /mnt/venv
for folder in "$project" /tmp /root /dev/shm /run; do
    test ! -d "$folder" || mount -t tmpfs tmpfs "$folder"
done
mkdir -p "$prefix" "$base_prefix" /run/sshd
mount --bind /mnt/base "$base_prefix"
mount --bind /mnt/venv "$prefix"
chmod 1777 /tmp
chmod 700 /root
# The virtual environment that cluster/on-prem.yaml would make is there already, so that nothing is downloaded.
ln -s "$prefix" /root/mer-python
printf '. ~/.bashrc\n' >/root/.profile
: >/root/.bashrc
ip link set lo up
touch "/mnt/lab/ready.$name"
# This shell stays: as the first process it takes in those that lost their parents.
/usr/sbin/sshd -D -f /mnt/lab/sshd_config &
while true; do
    sleep 3600 &
    wait $! || true
done
