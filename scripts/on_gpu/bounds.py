"""How far two ways of training may be apart in experiments/cuda-check.toml.

All are relative differences, the largest over the evaluations at each of twelve updates, as
on_gpu.curves.differences defines them: of the losses, and at the end of weights and normalisation's averages.

ROUNDING was measured on the emulated CUDA device (tests/cuda), which computes what a CPU does, and whose
convolutions can be made to be off by a random share of their values as other algorithms' are. f32: the largest
of three ways (nchw, channels-last, operation by operation on the CPU) with shares of none, 10^-6 and 10^-5.
bf16: numbers in bf16 against f32, with shares of none and 10^-3. (loss, weights, averages):

                          f32                          bf16
    plain                 5.4e-4  1.3e-3  1.5e-3       1.4e-3  3.5e-3  5.3e-3
    residual-sub-batches  4.9e-4  1.1e-3  1.9e-3       7.9e-4  2.5e-3  4.1e-3
    preact-adam           3.4e-4  2.9e-3  2.7e-3       8.0e-4  7.5e-3  5.8e-3
    dense                 5.7e-4  3.1e-4  1.2e-3       1.4e-3  9.8e-4  3.9e-3
    mlp-rmsprop           9.6e-7  7.0e-8  1.8e-7       6.0e-3  6.6e-3  5.4e-3
    lenet                 2.9e-6  9.4e-7  -            1.9e-2  8.2e-3  -
    fixup                 4.9e-7  2.9e-6  -            6.0e-4  9.8e-4  -
    group-norm            1.0e-3  1.4e-3  -            1.8e-3  2.8e-3  -
    before any update     at most 1e-6                 6.0e-4

What is wrong lies this far off (trained on the CPU with another setting, against the CPU):

                          constant rate   momentum 0.8    no decay        statistics over 32
    plain                 3e-2 4e-2 2e-2  5e-3 5e-3 6e-3  7e-4 2e-2 2e-2  4e-3 7e-3 1e-2
    residual-sub-batches  2e-1 7e-2 4e-2  3e-2 1e-2 1e-2  2e-2 2e-2 4e-2  2e-2 6e-3 2e-2  (64)
    preact-adam           5e-2 6e-2 3e-2  -               2e-2 7e-2 8e-2  3e-3 2e-2 2e-2
    dense                 4e-1 8e-2 5e-2  9e-2 1e-2 2e-2  8e-2 6e-2 1e-1  4e-2 4e-3 2e-2
    mlp-rmsprop           3e-1 4e-2 2e-2  -               2e-1 7e-2 2e-1  6e-2 2e-2 5e-2
    lenet                 4e+1 2e+0 -     6e-1 4e-2 -     7e-1 1e-1 -     -
    fixup                 2e+0 1e+0 -     3e-2 7e-2 -     5e-2 3e-1 -     -
    group-norm            3e-1 1e-1 -     3e-2 2e-2 -     2e-2 5e-2 -     -

Replays that read the rate of the recording, or the batch of the recording (EMULATED_CUDA_MUTANT of the emulated
device), recorded against operation by operation, by the losses alone:

    frozen rate   lenet 2e+1, dense, fixup, group-norm 3e-1, mlp-rmsprop, dense-dropout, residual 2e-1,
                  preact-adam 4e-2, plain 2e-2
    stale batch   lenet 8e-1, dense, mlp-rmsprop 2e-1, residual, group-norm, dense-dropout 1e-1, fixup, plain,
                  preact-adam 7e-2

A bound is four times the rounding, and never below FLOOR times four, since products of matrices got no noise.
Every fault is several times beyond the bound of at least one net. In f32: momentum 300 times (lenet), decay 330
(lenet), statistics 29 (mlp-rmsprop), replays 11 times and more in every net. In bf16: momentum 17 times
(dense), decay 65 (fixup), statistics 6 (dense), frozen rate 200 (lenet), stale batch 37 (dense).
"""

MARGIN = 4
KINDS = ("losses", "weights", "averages")
FLOOR = {"f32": 5e-4, "bf16": 1e-3}
START = {"f32": 1e-4, "bf16": 2.4e-3}

# Of each net in f32 and in bf16, in the order of KINDS.
ROUNDING = {
    "plain": {"f32": (5.4e-4, 1.3e-3, 1.5e-3), "bf16": (1.4e-3, 3.5e-3, 5.3e-3)},
    "residual-sub-batches": {"f32": (4.9e-4, 1.1e-3, 1.9e-3), "bf16": (7.9e-4, 2.5e-3, 4.1e-3)},
    "preact-adam": {"f32": (3.4e-4, 2.9e-3, 2.7e-3), "bf16": (8.0e-4, 7.5e-3, 5.8e-3)},
    "dense": {"f32": (5.7e-4, 3.1e-4, 1.2e-3), "bf16": (1.4e-3, 9.8e-4, 3.9e-3)},
    # Noise would draw from the generator that dropout draws from: the values of dense.
    "dense-dropout": {"f32": (5.7e-4, 3.1e-4, 1.2e-3), "bf16": (1.4e-3, 9.8e-4, 3.9e-3)},
    "mlp-rmsprop": {"f32": (0, 0, 0), "bf16": (6.0e-3, 6.6e-3, 5.4e-3)},
    "lenet": {"f32": (0, 0, 0), "bf16": (1.9e-2, 8.2e-3, 0)},
    "fixup": {"f32": (0, 0, 0), "bf16": (6.0e-4, 9.8e-4, 0)},
    "group-norm": {"f32": (1.0e-3, 1.4e-3, 0), "bf16": (1.8e-3, 2.8e-3, 0)},
}
ARMS = tuple(ROUNDING)
# Its values differ from those of other nets where dropout draws others.
DROPOUT = "dense-dropout"


def bound(arm, kind, precision):
    """The largest relative difference that is taken for rounding."""
    if kind == "start":
        return START[precision]
    return MARGIN * max(FLOOR[precision], ROUNDING[arm][precision][KINDS.index(kind)])
