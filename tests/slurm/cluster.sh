#!/usr/bin/env bash
# A Slurm cluster of one node, this machine: `cluster.sh start FOLDER`, `cluster.sh stop FOLDER`. As root, on Debian: it
# installs slurm-wlm if it is not there, and keeps its state in the folder. For tests; nothing is left running after a stop.
set -euo pipefail
what=$1 folder=$(realpath -m "$2")
export SLURM_CONF="$folder/slurm.conf"

stop() {
    for daemon in slurmd slurmctld; do
        [ -f "$folder/$daemon.pid" ] || continue
        pid=$(cat "$folder/$daemon.pid")
        kill "$pid" 2>/dev/null || continue
        # It writes its state before it ends.
        for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || break; sleep 0.25; done
    done
}

if [ "$what" = stop ]; then
    stop
    exit
fi

command -v slurmctld >/dev/null && command -v slurmd >/dev/null || {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge >/dev/null
}
mkdir -p "$folder/state" "$folder/spool"
pgrep -x munged >/dev/null || {
    mkdir -p /run/munge && chown munge: /run/munge
    [ -s /etc/munge/munge.key ] || { dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none; }
    chown munge: /etc/munge/munge.key && chmod 400 /etc/munge/munge.key
    runuser -u munge -- /usr/sbin/munged
}
node=$(hostname -s)
cat > "$SLURM_CONF" <<CONF
ClusterName=counterfoil
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
MinJobAge=2
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=test Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
stop
slurmctld -f "$SLURM_CONF"
slurmd -f "$SLURM_CONF" -N "$node"
for _ in $(seq 60); do
    state=$(sinfo --noheader --format=%T 2>/dev/null || true)
    case $state in idle* | mixed* | allocated*) exit 0 ;; esac
    sleep 0.5
done
echo "the node did not come up: ${state:-no answer}; see $folder/slurmctld.log and slurmd.log" >&2
exit 1
