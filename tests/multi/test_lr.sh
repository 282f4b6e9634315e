#!/bin/sh
# lockstep lr: PyTorch's values through the recipe and the command, the warnings, the picture; and training under a
# schedule that moves momentum, whose bits depend neither on workers nor on a stop in the middle.
set -u
. "$(dirname "$0")/../support/lib.sh"

cat >base.yaml <<'X'
run: {name: schedule}
data: {kind: regression, samples: 800, validation_samples: 80, n_features: 4}
model: {kind: mlp, layers: [4, 8, 1]}
loss: {kind: mse}
optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}
train: {epochs: 100, batch: 80}
X

# Each case of the golden file as a recipe: NAME.yaml, and NAME.csv with what lockstep lr must print.
perl -MJSON::PP -e '
    local $/;
    open(my $f, "<", shift) or die;
    my $golden = JSON::PP->new->decode(<$f>);
    my $json = JSON::PP->new->canonical->allow_nonref;
    open(my $b, "<", "base.yaml") or die;
    my $base = <$b>;
    my $i = 0;
    for my $c (@{$golden->{cases}}) {
        my $yaml = $base;
        my $kind = $c->{optimizer} eq "adam" ? "{kind: adam, lr: $c->{lr}}" : "{kind: sgd, lr: $c->{lr}, momentum: 0.9}";
        $yaml =~ s/optimizer: .*/optimizer: $kind/;
        open(my $out, ">", sprintf("case%03d.yaml", $i)) or die;
        print $out $yaml, "scheduler: ", $json->encode($c->{scheduler}), "\n";
        open(my $want, ">", sprintf("case%03d.want", $i++)) or die;
        my @kept = grep { $_ < $golden->{head} || $_ % $golden->{every} == 0 || $_ == $c->{n} - 1 } 0 .. $c->{n} - 1;
        for my $k (0 .. $#kept) {
            print $want join(",", $kept[$k], $kept[$k], $c->{values}[$k], $c->{momentum} ? $c->{momentum}[$k] : ()), "\n";
        }
        print "$c->{n} $c->{name}\n";
    }' "$here/../golden/schedules.json" >cases.txt || exit 1

# Compares what was printed with what PyTorch had; as in test_golden_schedules.c.
compare() {
    perl -e '
        my ($got, $want) = @ARGV;
        open(my $w, "<", $want) or die; my @want = <$w>;
        open(my $g, "<", $got) or die; <$g>; my %got;
        while (<$g>) { chomp; my @row = split /,/; $got{$row[0]} = \@row; }
        my ($worst, $most) = (0, 0);
        for (@want) { my @w = split /,/; $most = $w[2] if $w[2] > $most; }
        for (@want) {
            chomp; my @w = split /,/; my $row = $got{$w[0]} or die "no step $w[0]\n";
            die "columns: @$row\n" if @$row != @w;
            for my $k (1 .. $#w) {
                my $room = 1e-12 * abs($w[$k]) + 1e-15 * ($k == 3 ? 1 : $most);
                die "step $w[0], column $k: got $row->[$k], want $w[$k]\n" if abs($row->[$k] - $w[$k]) > $room;
            }
        }' "$1" "$2"
}

i=0
while read -r n name; do
    case=$(printf 'case%03d' $i)
    i=$((i + 1))
    if alone lr $case.yaml --csv --count "$n" >$case.csv 2>$case.err && compare $case.csv $case.want 2>why.txt; then
        n_agree=$((${n_agree:-0} + 1))
    else
        echo "FAILED: $name: $(cat why.txt $case.err)"
        n_failed=$((n_failed + 1))
    fi
done <cases.txt
same "schedules that agree with PyTorch through the command" "$n_agree" "$i"

# recipe NAME, the scheduler on standard input
recipe() { { cat base.yaml; cat; } >"$1.yaml"; }

recipe issue <<'X'
scheduler:
  kind: sequential
  milestones: [10, 70]
  schedulers:
    - {kind: linear, start_factor: 0.1, end_factor: 1.0, total_iters: 10}
    - {kind: cosine, T_max: 60, eta_min: 0.002}
    - {kind: exponential, gamma: 0.9}
X
status 0 alone lr issue.yaml --csv
same "header" "$(head -n 1 out.txt)" step,epoch,lr
same "rows" "$(tail -n +2 out.txt | wc -l)" 100
recipe once <<'X'
scheduler: {kind: onecycle, every: step, max_lr: 0.1, total_steps: 1000}
X
status 0 alone lr once.yaml --csv
same "header with momentum" "$(head -n 1 out.txt)" step,epoch,lr,momentum
same "a row of step 25, in epoch 2" "$(grep -c '^25,2,' out.txt)" 1

echo "traps"
recipe rising <<'X'
scheduler: {kind: cosine, T_max: 60}
X
status 0 alone lr rising.yaml
says 'warning: schedule: the run ends with the learning rate rising.*set T_max: 99'
status 0 alone lr rising.yaml scheduler.T_max=99
same "no warning when it ends low" "$(grep -c warning out.txt)" 0
status 0 alone lr once.yaml scheduler.every=epoch
says 'onecycle is made for 1000 steps and has 100'
status 0 alone lr issue.yaml train.epochs=40
says 'the run ends before milestone 70'
status 0 alone lr once.yaml scheduler.every=epoch 'scheduler={kind: onecycle, max_lr: 0.1, epochs: 100, steps_per_epoch: 10}'
says 'onecycle is made for training steps, 10 an epoch, and this one counts epochs: it has 100 of its 1000'
warns() { # schedule, pattern
    status 0 alone lr rising.yaml "scheduler=$1"
    says "warning: schedule: $2"
}
warns '{kind: cyclic, base_lr: 0.01, max_lr: 0.1}' 'cyclic never leaves its first rise: step_size_up is 2000 and it has 100'
warns '{kind: multistep, milestones: [30, 200]}' 'milestone 200 is never reached: it has 100 steps'
warns '{kind: linear, total_iters: 101}' 'linear does not come to its end: total_iters is 101 and it has 100'
warns '{kind: polynomial, total_iters: 200}' 'polynomial does not come to its end: total_iters is 200'
warns '{kind: wsd, stable_steps: 80, decay_steps: 40}' 'wsd does not come to its end: its parts take 120 and it has 100'
warns '{kind: lambda, expr: "max(0, 1 - step/100)"}' '.step. counts training steps, and this schedule counts epochs'
warns '{kind: sequential, milestones: [10], schedulers: [{kind: linear, total_iters: 20}, {kind: none}]}' \
      'linear does not come to its end: total_iters is 20 and it has 10'
for quiet in '{kind: linear, total_iters: 100}' '{kind: lambda, expr: "1 / (1 + epoch)"}' '{kind: multistep, milestones: [99]}' \
             '{kind: lambda, every: step, expr: "1 / (1 + step)"}' '{kind: linear, total_iters: 150, start_step: 50}'; do
    status 0 alone lr rising.yaml "scheduler=$quiet"
    same "no warning of $quiet" "$(grep -c warning out.txt)" 0
done
recipe plateau <<'X'
scheduler: {kind: reduce_on_plateau, factor: 0.5, patience: 3, warmup: {total_iters: 4}}
X
status 0 alone lr plateau.yaml
says 'warning: schedule: a plateau falls by what it observes'
status 2 alone lr plateau.yaml scheduler.metric=validation.los
says 'validation.los. is not measured'
for k in $(seq 30); do echo 1; done >metric.txt
status 0 alone lr plateau.yaml --metric metric.txt --csv
# Observed from the end of epoch 3 on: the first is the best, four bad ones follow.
same "epoch of the first fall" "$(awk -F, 'NR > 6 && $3 < 0.04 { print $2; exit }' out.txt)" 8
echo word >>metric.txt
status 3 alone lr plateau.yaml --metric metric.txt
says 'metric.txt:31: not a number'

echo "stages"
recipe stages <<'X'
stages:
  - {name: pretrain, epochs: 6, scheduler: {kind: cosine, T_max: 6}}
  - {name: head, epochs: 4, batch: 160, optimizer: {lr: 0.02}}
  - {name: all, epochs: 3, scheduler: {kind: onecycle, every: step, max_lr: 0.1, total_steps: 30}}
X
status 0 alone lr stages.yaml --csv
same "no warning" "$(grep -c warning out.txt)" 0
same "rows: 6 epochs of 10 steps, 4 of 5, 3 of 10" "$(tail -n +2 out.txt | wc -l)" 110
same "the second stage begins" "$(sed -n 62p out.txt)" "60,6,0.02,0.90000000000000002"
same "the third stage begins" "$(sed -n 82p out.txt | cut -c 1-11)" "80,10,0.004"
status 0 alone lr stages.yaml --csv --count 70
same "the first 70" "$(tail -n 1 out.txt | cut -d, -f 1,2)" 69,7
status 0 alone lr stages.yaml stages.pretrain.scheduler.T_max=4
says 'warning: schedule: pretrain: the run ends with the learning rate rising'
status 0 alone train stages.yaml data.standardize=true stages.all.scheduler.max_lr=0.01 run.dir=staged
status 0 alone lr stages.yaml --csv stages.all.scheduler.max_lr=0.01
# The rate in force at an evaluation is that of the step before.
awk -F, 'NR == FNR { if (FNR > 1) lr[$1] = $3; next }
         FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
         { n++; if (($at["lr"] - lr[$at["step"] - 1]) ^ 2 > 1e-24) bad++ } END { print n + 0, bad + 0 }' \
    out.txt staged/metrics.csv >trained.txt
same "evaluations, and those with another rate than lr shows" "$(cat trained.txt)" "13 0"

echo "groups"
recipe groups <<'X'
scheduler: {kind: reduce_on_plateau, metric: train.loss, patience: 0, threshold: 0.5, factor: 0.5}
ema: {beta: 0.9, update_after_step: 20, update_every: 1}
metrics: {tensorboard: false}
stages:
  - name: pretrain
    epochs: 3
    optimizer: {groups: [{name: bias, params: ['*.bias'], lr: 0.02, weight_decay: 0}]}
    weight_decay_scheduler: {kind: linear, start_factor: 0.5, total_iters: 2}
  - name: head
    epochs: 8
    batch: 160
    evaluate_every: 2
    freeze: ['0.*']
    momentum_scheduler: {kind: linear, start_factor: 0.5, end_factor: 1, total_iters: 5}
    optimizer:
      groups:
        - {name: top, params: ['*.weight'], lr: 0.01, scheduler: {kind: cosine, T_max: 7}}
        - {name: bias, params: ['*.bias'], lr: 0.03}
X
set -- groups.yaml data.standardize=true optimizer.weight_decay=0.01
status 0 alone train "$@" run.dir=grouped
awk -F, 'FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } { print $at["train.loss"] }' grouped/metrics.csv >loss.txt
status 0 alone lr "$@" --metric loss.txt --csv
same "no warning" "$(grep -c warning out.txt)" 0
same "columns of groups" "$(head -n 1 out.txt)" \
    step,epoch,lr,lr.bias,lr.top,momentum,momentum.bias,momentum.top,weight_decay,weight_decay.bias
same "a stage without the group top" "$(sed -n 2p out.txt)" \
    0,0,0.050000000000000003,0.02,,0.90000000000000002,0.90000000000000002,,0.0050000000000000001,0
same "momentum and decay of the second stage" "$(sed -n 5p out.txt | cut -d, -f 6-)" \
    0.45000000000000001,0.45000000000000001,0.45000000000000001,0.01,0.01
# The rates in force at an evaluation are those of the epoch before: plateaus fell where lr shows it.
awk -F, 'FNR == 1 { for (i = 1; i <= NF; i++) at[FILENAME, $i] = i; next }
         FILENAME == "out.txt" { for (k = 3; k <= 5; k++) want[$2, k] = $k; next }
         { for (k = 3; k <= 5; k++) { n++; if ($k "" != "" && $k != want[$2 - 1, k] + 0) bad++ }; low = $4 }
         END { print n + 0, bad + 0, (low < 0.03) }' out.txt grouped/metrics.csv >trained.txt
same "rates at evaluations, those that lr shows otherwise, and whether a plateau fell" "$(cat trained.txt)" "21 0 1"
status 0 alone lr "$@"
says '^pretrain: epochs 0 to 2, steps 0 to 29, batch 80$'
says '^  49 of 49 weights train$'
says '^  bias +lr 0.02, reduce_on_plateau; momentum 0.9; weight decay 0; 9 weights$'
says '^  rest .*weight decay 0.005 to 0.01; 40 weights$'
says '^head: epochs 3 to 10, steps 30 to 69, batch 160$'
says '^  9 of 49 weights train; frozen 0.weight, 0.bias \(freeze 0\.\*\)$'
says '^  top +lr 0.01 to 0, cosine; momentum 0.45 to 0.9; weight decay 0.01; 8 weights$'
says '^  EMA decay 0.79782 to 0.9$' # 1 - 11^(-2/3), and beta
says 'warning: schedule: pretrain: a plateau falls'
same "told once for both groups" "$(grep -c 'pretrain.*a plateau falls' out.txt)" 1
sed 's/T_max: 7/T_max: 3/' groups.yaml >swing.yaml
status 0 alone lr swing.yaml
says 'warning: schedule: head: group top: the cosine swings'
status 0 alone lr "$@" --count 2
says '^head: not reached$'
status 0 alone lr "$@" scheduler='{kind: step, step_size: 20, every: step}' --csv
same "rows of steps where one group counts them" "$(tail -n +2 out.txt | wc -l)" 70
status 2 alone lr "$@" 'stages.head.freeze=[7.*]'
says '^lockstep: stages.head.freeze=.7.*`7..` matches no tensor'
status 0 alone lr "$@" data='{kind: csv, train: none.csv, target: y}'
says '^pretrain: epochs 0 to 2, batch 80$'
says '^  EMA decay up to 0.9$'

echo "mistakes"
recipe wrong <<'X'
scheduler:
  kind: sequential
  milestones: [10]
  schedulers:
    - {kind: lambda, expr: 0.5^epohc}
    - {kind: cosine, T_max: 60, eta_minn: 0}
X
status 2 alone lr wrong.yaml
says 'wrong.yaml:12: scheduler.schedulers\[1\].eta_minn: no such key; did you mean .eta_min.'
sed -i 's/eta_minn/eta_min/' wrong.yaml
status 2 alone train wrong.yaml
says 'wrong.yaml:11: scheduler.schedulers\[0\].expr: .*epohc.*Did you mean "epoch"'
status 2 alone lr issue.yaml once.yaml
says 'needs one recipe'

echo "pictures"
if command -v gnuplot >/dev/null; then
    status 0 alone lr issue.yaml once.yaml --plot both.png
    status 0 alone lr issue.yaml once.yaml groups.yaml --plot three.png
    status 0 alone lr once.yaml --plot vary.png --vary scheduler.max_lr=0.1,0.2,0.3
    same "a curve for each value of a key" "$(head -c 4 vary.png | tail -c 3)" PNG
    status 2 alone lr once.yaml --plot vary.png --vary scheduler.max_lrr=0.1,0.2
    says 'scheduler.max_lrr=0.1: no such key; did you mean .scheduler.max_lr.'
    same "a picture of three panels" "$(head -c 4 three.png | tail -c 3)" PNG
    same "a PNG" "$(head -c 8 both.png | od -An -c | tr -d ' ')" '211PNG\r\n032\n'
fi
status 1 env PATH=/nowhere "$lockstep" lr issue.yaml --plot none.png
says 'gnuplot, which is not installed: apt-get install gnuplot-nox'

echo "training"
set -- once.yaml data.standardize=true scheduler.max_lr=0.02 ema={} train.epochs=6 train.lanes=4 scheduler.total_steps=60 checkpoint.every=23 checkpoint.unit=step
for optimizer in '{kind: sgd, lr: 0.05}' '{kind: adam, lr: 0.05}'; do
    for n in 1 3; do
        status 0 workers $n train "$@" optimizer="$optimizer" run.dir="w$n"
        [ $n = 1 ] && want=$(digests w1)
        same "$optimizer: digests on $n workers" "$(digests w$n)" "$want"
    done
    # A sum of momenta that were not scheduled gives other weights.
    status 0 workers 1 train "$@" optimizer="$optimizer" scheduler.cycle_momentum=false run.dir=other
    same "momentum changes the weights" "$([ "$(digests other)" = "$want" ] && echo no || echo yes)" yes
    status 0 workers 2 train "$@" optimizer="$optimizer" run.dir=stopped train.steps=33
    status 0 workers 3 train "$@" optimizer="$optimizer" run.dir=stopped --resume
    same "$optimizer: resumed digests" "$(digests stopped)" "$want"
    rm -rf w1 w3 other stopped
done
finish
