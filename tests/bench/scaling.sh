#!/bin/sh
# Scaling over hosts with slow links, on one machine: network namespaces with names of their own, each with a cable (veth)
# to a switch, on which it sends at most 1 Gbit/s and, where the kernel has netem, 0.2 ms late; one worker on each.  As
# root.
#
#   tests/bench/scaling.sh PROGRAM HOSTS ARGUMENTS...      ARGUMENTS: of lockstep, as `bench scaling RECIPE --busy 2000`
set -eu
program=$(realpath "$1") n=$2
shift 2
work=$(mktemp -d) name=lk-$$
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

clean() {
    for host in $(ip netns list | awk -v name="$name" 'index($1, name) == 1 { print $1 }'); do
        for process in $(ip netns pids "$host" 2>/dev/null); do kill -9 "$process" 2>/dev/null || true; done
        ip netns del "$host"
    done
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM

ip netns add "$name-switch"
ip -n "$name-switch" link add bridge type bridge
ip -n "$name-switch" link set bridge up
hosts='' late='0.2 ms late'
for i in $(seq "$n"); do
    host=$name-$i
    ip netns add "$host"
    ip link add lk0 netns "$host" type veth peer name "port$i" netns "$name-switch"
    ip -n "$name-switch" link set "port$i" master bridge up
    ip -n "$host" address add "10.0.0.$i/24" dev lk0
    ip -n "$host" link set lo up
    ip -n "$host" link set lk0 up
    ip netns exec "$host" tc qdisc add dev lk0 root handle 1: tbf rate 1gbit burst 256kb latency 100ms
    ip netns exec "$host" tc qdisc add dev lk0 parent 1:1 handle 2: netem delay 0.2ms limit 10000 2>/dev/null ||
        late="not late: this kernel has no netem"
    hosts=$hosts${hosts:+,}$host:1
done

echo "# $n hosts, each sends 1 Gbit/s, $late" >&2

# on HOST COMMAND...: Open MPI knows hosts apart by their names.  agent HOST WORDS: what it calls as it would ssh.
cat >"$work/on" <<'ON'
#!/bin/sh
exec ip netns exec "$1" unshare --uts sh -c 'hostname "$1"; shift; exec "$@"' sh "$@"
ON
cat >"$work/agent" <<AGENT
#!/bin/sh
host=\$1
shift
exec "$work/on" "\$host" sh -c "\$*"
AGENT
chmod +x "$work/on" "$work/agent"
"$work/on" "$name-1" mpirun -q -n "$n" --host "$hosts" --mca plm_rsh_agent "$work/agent" --mca btl_tcp_if_include lk0 \
    --mca oob_tcp_if_include lk0 "$program" "$@"
