# Two hosts for a test: two network namespaces with names of their own ($near, $far), joined by a cable (veth, $cable),
# with an agent in ssh's place.  Sourced behind lib.sh; exit status 77 where they cannot be had (they need root).

skip() {
    echo "skipped: $1"
    exit 77
}

near=lk-near-$$ far=lk-far-$$ cable=lk0
[ "$(id -u)" = 0 ] || skip "only root may make network namespaces"
command -v ip >/dev/null || skip "no command ip; install iproute2"
ip netns add "$near" 2>ip.txt || skip "no network namespace may be made here: $(cat ip.txt)"

# Whatever still runs on the two hosts, for instance daemons behind the pulled cable, goes with them.
remove_hosts() {
    for host in "$near" "$far"; do
        for process in $(ip netns pids "$host" 2>/dev/null); do kill -9 "$process" 2>/dev/null; done
        ip netns del "$host" 2>/dev/null
    done
    rm -rf "$work"
}
trap remove_hosts EXIT
trap 'exit 1' HUP INT TERM

ip netns add "$far"
ip link add "$cable" netns "$near" type veth peer name "$cable" netns "$far" 2>ip.txt ||
    skip "no virtual cable may be made here: $(cat ip.txt)"
plug() { # host, its address
    ip -n "$1" address add "$2/24" dev "$cable"
    ip -n "$1" link set lo up
    ip -n "$1" link set "$cable" up
}
plug "$near" 10.0.0.1
plug "$far" 10.0.0.2

# on HOST COMMAND...: Open MPI knows hosts apart by their names, so each has its own (unshare --uts).
cat >on <<'END'
#!/bin/sh
exec ip netns exec "$1" unshare --uts sh -c 'hostname "$1"; shift; exec "$@"' sh "$@"
END
# What mpirun calls as it would ssh: HOST, then a command line for the host's shell.
cat >agent <<END
#!/bin/sh
host=\$1
shift
exec "$work/on" "\$host" sh -c "\$*"
END
chmod +x on agent
./on "$near" true 2>ip.txt || skip "no host name of its own may be given here: $(cat ip.txt)"

# mpirun's options to reach them.
reach="--mca plm_rsh_agent $work/agent --mca btl_tcp_if_include $cable --mca oob_tcp_if_include $cable"

# far_worker RUN: a process of the far host.
far_worker() {
    for process in $(workers_of "$1"); do
        ip netns pids "$far" | grep -x "$process" && return
    done
}

# The cable is pulled, on the far side: the near host has its interface still.  It carries again, and neither host remembers
# the other as gone.
pull() { ip -n "$far" link set "$cable" down; }
mend() {
    ip -n "$far" link set "$cable" up
    for host in "$near" "$far"; do
        until ip -n "$host" link show "$cable" | grep -q 'state UP'; do sleep 0.1; done
        ip -n "$host" neighbour flush dev "$cable"
    done
}
