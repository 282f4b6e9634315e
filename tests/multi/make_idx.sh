#!/bin/sh
# Writes a small data set in MNIST's format: make_idx.sh FOLDER N_TRAIN N_TEST.  Images are 28 x 28; those of class c
# have a bright band of rows from 2 c on, over noise from a fixed sequence, so that a network can learn them.
set -eu
mkdir -p "$1"
cd "$1"

write() { # name, count, first number of the noise
    perl -e '
        my ($name, $n, $s) = @ARGV;
        open(my $images, ">:raw", "$name-images") or die;
        open(my $labels, ">:raw", "$name-labels") or die;
        print $images pack("N4", 0x803, $n, 28, 28);
        print $labels pack("N2", 0x801, $n);
        for my $i (0 .. $n - 1) {
            my $c = $i * 7 % 10;
            print $labels pack("C", $c);
            for my $row (0 .. 27) {
                my $band = $row >= 2 * $c && $row < 2 * $c + 4 ? 160 : 0;
                print $images pack("C28", map { $s = ($s * 1103 + 12345) % 65536; $band + int($s / 65536 * 90) } 1 .. 28);
            }
        }' "$1" "$2" "$3"
}

write train "$2" 1
write test "$3" 2
