# launch/bundle: what it gathers runs where nothing is installed.  The place is a root folder with a shell, three small
# tools and the C library, in which mpirun starts two workers.
. "$(dirname "$0")/../support/lib.sh"

# A library that the module misses is looked for in Python's wheels, behind what LD_LIBRARY_PATH has; else
# nothing is added.
status 0 "$here/../../launch/bundle" "$work/here.tar.gz" "$(dirname "$lockstep")"
tar -xzf here.tar.gz
wheel=$work/site/nvidia/made-up/lib
mkdir -p "$wheel"
echo 'int lk_made_up(void) { return 1; }' | cc -shared -fPIC -x c - -o "$wheel/libmade-up.so"
echo 'int lk_made_up(void); int lk_uses(void) { return lk_made_up(); }' |
    cc -shared -fPIC -x c - -o module.so -Wl,--no-as-needed -L"$wheel" -lmade-up
path_there() { # MODULE: what the bundle's env makes of the path, without its own folder
    LD_LIBRARY_PATH=/machine PYTHONPATH=$work/site LOCKSTEP_CUDA_MODULE=$1 here/env \
        sh -c 'echo "${LD_LIBRARY_PATH#*/lib:}"'
}
path=$(path_there "$work/module.so")
same "the path begins with the machine's" "${path%%:*}" /machine
case $path: in *:"$wheel":*) there=yes ;; *) there=$path ;; esac
same "the wheel's folder is in it" "$there" yes
same "a module that misses nothing: the path" "$(path_there "$wheel/libmade-up.so")" /machine
LD_LIBRARY_PATH=/machine PYTHONPATH=$work/site LOCKSTEP_CUDA_MODULE=$work/module.so here/env "$work/here/env" \
    sh -c 'echo "$LD_LIBRARY_PATH"' >nested.txt
same "in env in env the wheel's folder is there" "$(tr ':' '\n' <nested.txt | grep -cx "$wheel")" 1

[ "$(id -u)" = 0 ] || { echo "skipped: a new root folder needs root"; exit 77; }
unshare -m true 2>/dev/null || { echo "skipped: no mount namespaces here"; exit 77; }

root=$work/root
mkdir -p "$root/bin" "$root/proc" "$root/dev" "$root/sys" "$root/tmp" "$root/etc"
bundle() { "$here/../../launch/bundle" "$root/lockstep" "$(dirname "$lockstep")"; }

status 0 bundle
says "root/lockstep: .* MiB"
status 2 bundle
says "is there and not empty"
status 2 "$here/../../launch/bundle" "$work/other" "$work/nowhere"
says "build first"

# The C library's parts are the target's; nothing else of this machine may be needed.
for tool in sh readlink dirname hostname; do cp -L "$(command -v $tool)" "$root/bin/"; done
theirs=$(find "$root" -type f \( -name '*.so*' -o -perm -u+x \) -exec ldd {} + 2>/dev/null |
         grep -oE '/[^ ]*/(ld-linux|libc\.so|libm\.so|libmvec\.so|libpthread\.so|librt\.so|libdl\.so|libresolv\.so|libutil\.so|libselinux|libpcre2|libnss_)[^ ]*' | sort -u)
for library in $theirs; do mkdir -p "$root$(dirname "$library")"; cp -L "$library" "$root$library"; done
echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
echo '127.0.0.1 localhost' >"$root/etc/hosts"

there() { # a command in the new root
    unshare -m sh -c 'mount --bind /proc "$0/proc" && mount --bind /sys "$0/sys" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"' "$root" "$@"
}

status 0 there /lockstep/lockstep doctor
says "cpu engine"
status 0 there /lockstep/mpirun --allow-run-as-root --oversubscribe -n 2 /lockstep/lockstep train \
    /lockstep/recipes/ema-regression.yaml run.dir=/tmp/run train.epochs=2 train.lanes=2
says "epoch"
status 0 there /lockstep/lockstep run -n 2 /lockstep/recipes/ema-regression.yaml run.dir=/tmp/run train.epochs=3 train.lanes=2 \
    -- --allow-run-as-root --oversubscribe
says "going on at step 100"

# gnuplot is the machine's own: it sees the machine's libraries, not the bundle's.
mkdir fake
printf '#!/bin/sh\necho "$LD_LIBRARY_PATH" >"%s/seen"\nexit 1\n' "$work" >fake/gnuplot
chmod +x fake/gnuplot
PATH=$work/fake:$PATH LD_LIBRARY_PATH=/machine "$root/lockstep/lockstep" plot "$root/tmp/run" -o p.png >out.txt 2>&1
same "gnuplot's library path" "$(cat seen)" /machine
finish
