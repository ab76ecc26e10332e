use super::*;
use crate::placement::channels_last;
use fathom_record::Layout;
use tch::{Device, Kind, Reduction};

const TRAIN: Mode = Mode::Train { norm_batch: None };
const NOTHING: After = After { added: None, relu: false, own: false };
const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

/// A batch normalisation in double precision, fused or from its formulas.
fn batch_norm(from_formula: bool, channels: i64) -> Normalisation {
    batch_norm_of(Kind::Double, from_formula, channels)
}

fn batch_norm_of(kind: Kind, from_formula: bool, channels: i64) -> Normalisation {
    let norm = Norm::Batch { eps: 1e-5, momentum: 0.1, from_formula };
    let line = |start: f64, end: f64| Tensor::linspace(start, end, channels, DOUBLE).to_kind(kind);
    let [gamma, beta] =
        [line(0.5, 1.5), line(-0.3, 0.4)].map(|values| values.set_requires_grad(true));
    Normalisation::new(norm, gamma, beta)
}

/// Running mean and variance.
fn averages(norm: &Normalisation) -> [&Tensor; 2] {
    let Moments { mean, variance } = norm.running().unwrap();
    [mean, variance]
}

/// Pseudo-random numbers, the same in every call.
fn numbers(shape: &[i64]) -> Tensor {
    let n: i64 = shape.iter().product();
    let line = Tensor::arange(n, DOUBLE) * 12.9898;
    ((line.sin() * 43758.5453).frac() * 3.0 + 0.7).view(shape)
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

/// Feature maps, and features of fully connected layers.
const SHAPES: [&[i64]; 2] = [&[6, 3, 5, 4], &[16, 3]];

#[test]
fn formula_is_libtorch_s_in_forward_gradients_and_averages() {
    for shape in SHAPES {
        let step = |from_formula| {
            let norm = batch_norm(from_formula, shape[1]);
            let x = numbers(shape).set_requires_grad(true);
            let y = norm.forward(&x, TRAIN, &NOTHING);
            let loss = (&y * numbers(shape).cos()).sum(Kind::Double);
            let mut all =
                Tensor::run_backward(&[loss], &[&x, &norm.gamma, &norm.beta], false, false);
            all.push(y);
            all.extend(averages(&norm).map(Tensor::copy));
            all.push(norm.forward(&x, Mode::Predict, &NOTHING));
            all
        };
        let what = ["∂x", "∂γ", "∂β", "y", "running mean", "running variance", "y at prediction"];
        for ((ours, theirs), what) in step(true).iter().zip(&step(false)).zip(what) {
            let apart = distance(ours, theirs);
            assert!(apart < 1e-10, "{what} of {shape:?}: {apart}");
        }
    }
}

#[test]
fn formula_takes_statistics_in_f32_whatever_the_activations_are() {
    let norm = Norm::Batch { eps: 1e-5, momentum: 0.1, from_formula: true };
    let float = (Kind::Float, Device::Cpu);
    let norm = Normalisation::new(norm, Tensor::ones([3], float), Tensor::zeros([3], float));
    let x = numbers(SHAPES[0]);
    let y = norm.forward(&x.to_kind(Kind::BFloat16), TRAIN, &NOTHING);
    assert_eq!(y.kind(), Kind::BFloat16);
    let expected = norm.forward(&x.to_kind(Kind::Float), TRAIN, &NOTHING);
    assert!(distance(&y.to_kind(Kind::Double), &expected.to_kind(Kind::Double)) < 0.03);
    assert!(averages(&norm).iter().all(|average| average.kind() == Kind::Float));
}

/// Gradients by x, γ, β and `added`, then y, the running averages, and y at prediction.
fn all_of(
    x: &Tensor,
    added: Option<&Tensor>,
    norm: &Normalisation,
    forward: impl Fn(&Tensor, Option<&Tensor>, Mode) -> Tensor,
) -> Vec<Tensor> {
    let x = x.detach().set_requires_grad(true);
    let added = added.map(|added| added.detach().set_requires_grad(true));
    let y = forward(&x, added.as_ref(), TRAIN);
    // The same in all formats.
    let weights = (x.detach().to_kind(Kind::Double) * 7.0).cos().to_kind(Kind::BFloat16);
    let weights = weights.to_kind(x.kind());
    let mut inputs = vec![&x, &norm.gamma, &norm.beta];
    inputs.extend(added.as_ref());
    let loss = (&y * weights).sum(y.kind());
    let mut all = Tensor::run_backward(&[loss], &inputs, false, false);
    all.push(y);
    all.extend(averages(norm).map(Tensor::copy));
    let _guard = tch::no_grad_guard();
    all.push(forward(&x, added.as_ref(), Mode::Predict));
    all
}

#[test]
fn the_fused_operation_is_the_sequence_of_libtorch_s() {
    // Numbers of channels that do and do not divide the kernels' width, more rows than a block of
    // their sums, and enough values for several threads.
    let shapes: [&[i64]; 6] = [
        &[6, 3, 5, 4],
        &[16, 3],
        &[70, 4, 31, 17],
        &[9, 24, 7, 7],
        &[40, 16, 16, 16],
        &[5, 80, 1, 1],
    ];
    let variants = [(false, false), (true, false), (false, true), (true, true)];
    for (shape, (relu, has_added)) in
        shapes.iter().flat_map(|shape| variants.map(|variant| (shape, variant)))
    {
        let kinds = [Kind::Double, Kind::Float];
        for (kind, layout) in
            kinds.into_iter().flat_map(|kind| Layout::ALL.iter().map(move |layout| (kind, *layout)))
        {
            let place = |x: Tensor| match (layout, x.dim()) {
                (Layout::ChannelsLast, 4) => channels_last(&x.to_kind(kind)),
                (Layout::BatchLast, 4) => batch_last(&x.to_kind(kind)),
                _ => x.to_kind(kind),
            };
            let x = place(numbers(shape));
            let added = has_added.then(|| place(numbers(shape).cos()));
            let make = || batch_norm_of(kind, false, shape[1]);
            let (ours, theirs) = (make(), make());
            let found = all_of(&x, added.as_ref(), &ours, |x, added, mode| {
                assert!(NormRelu::takes(x));
                ours.forward(x, mode, &After { added, relu, own: false })
            });
            let expected = all_of(&x, added.as_ref(), &theirs, |x, added, mode| {
                let (gamma, beta) = (Some(&theirs.gamma), Some(&theirs.beta));
                let [mean, variance] = averages(&theirs).map(Some);
                let training = mode == TRAIN;
                let y = x.batch_norm(gamma, beta, mean, variance, training, 0.1, 1e-5, true);
                let y = added.map_or(y.shallow_clone(), |added| &y + added);
                if relu { y.relu() } else { y }
            });
            // A value within rounding of 0 may be positive in one and negative in the other, so
            // with ReLU gradients are compared in double precision only.
            let gradients = 3 + usize::from(has_added);
            let first = if relu && kind == Kind::Float { gradients } else { 0 };
            for (place, (found, expected)) in found.iter().zip(&expected).enumerate().skip(first) {
                let size = expected.abs().max().double_value(&[]).max(1.0);
                let apart = distance(found, expected) / size;
                let bound = if kind == Kind::Double { 1e-12 } else { 1e-5 };
                let what = (shape, kind, layout, relu, has_added, place);
                assert!(apart < bound, "{what:?}: {apart}");
            }
        }
    }
}

#[test]
fn gradients_are_finite_differences() {
    for shape in SHAPES {
        let norm = batch_norm(true, shape[1]);
        let x = numbers(shape).set_requires_grad(true);
        let weights = numbers(shape).cos();
        let loss = || (norm.forward(&x, TRAIN, &NOTHING).square() * &weights).sum(Kind::Double);
        let inputs = [&x, &norm.gamma, &norm.beta];
        let gradients = Tensor::run_backward(&[loss()], &inputs, false, false);
        let _guard = tch::no_grad_guard();
        for (input, gradient) in inputs.iter().zip(&gradients) {
            let step = 1e-5;
            for place in 0..input.numel().min(20) as i64 {
                let moved = |by: f64| {
                    let mut entry = input.view(-1).narrow(0, place, 1);
                    entry += by;
                    let value = loss().double_value(&[]);
                    entry -= by;
                    value
                };
                let difference = (moved(step) - moved(-step)) / (2.0 * step);
                let analytic = gradient.view(-1).double_value(&[place]);
                let apart = (difference - analytic).abs() / analytic.abs().max(1.0);
                assert!(apart < 1e-7, "{shape:?} [{place}]: {difference} against {analytic}");
            }
        }
    }
}

#[test]
fn the_output_of_each_channel_has_mean_beta_and_standard_deviation_gamma() {
    let _guard = tch::no_grad_guard();
    let norm = batch_norm(true, 3);
    let y = norm.forward(&numbers(&[64, 3, 8, 8]), TRAIN, &NOTHING);
    let over = [0i64, 2, 3].as_slice();
    assert!(distance(&y.mean_dim(over, false, Kind::Double), &norm.beta) < 1e-10);
    let deviation = y.var_dim(over, false, false).sqrt();
    assert!(distance(&deviation, &norm.gamma) < 1e-4, "apart from ε");
}

#[test]
fn gamma_of_the_deviation_and_beta_of_the_mean_undo_the_normalisation() {
    let _guard = tch::no_grad_guard();
    let x = numbers(&[6, 3, 5, 4]);
    let over = [0i64, 2, 3].as_slice();
    let eps = 1e-5;
    let gamma = (x.var_dim(over, false, false) + eps).sqrt();
    let beta = x.mean_dim(over, false, Kind::Double);
    let norm = Norm::Batch { eps, momentum: 0.1, from_formula: true };
    let y = Normalisation::new(norm, gamma, beta).forward(&x, TRAIN, &NOTHING);
    assert!(distance(&x, &y) < 1e-10);
}

#[test]
fn running_averages_follow_libtorch_s_convention() {
    let _guard = tch::no_grad_guard();
    let norm = batch_norm(true, 3);
    let x = numbers(&[4, 3, 2, 2]);
    let _ = norm.forward(&x, TRAIN, &NOTHING);
    let over = [0i64, 2, 3].as_slice();
    // The weight of the newest batch is the momentum, and the variance is the unbiased one.
    let mean = x.mean_dim(over, false, Kind::Double) * 0.1;
    let variance = x.var_dim(over, true, false) * 0.1 + 0.9;
    assert!(distance(averages(&norm)[0], &mean) < 1e-12);
    assert!(distance(averages(&norm)[1], &variance) < 1e-12);
    let before = averages(&norm)[1].copy();
    let _ = norm.forward(&(x * 5.0), Mode::Predict, &NOTHING);
    assert!(distance(averages(&norm)[1], &before) == 0.0, "prediction keeps the averages");
}

#[test]
fn statistics_of_larger_batches_vary_less() {
    let _guard = tch::no_grad_guard();
    tch::manual_seed(0);
    // Standard deviation over many batches of the batch's mean and variance. With momentum 1 the
    // running averages are those of the last batch.
    let spread = |batch: i64| {
        let norm = Norm::Batch { eps: 1e-5, momentum: 1.0, from_formula: true };
        let (one, zero) = (Tensor::ones([1], DOUBLE), Tensor::zeros([1], DOUBLE));
        let norm = Normalisation::new(norm, one, zero);
        let taken: Vec<[f64; 2]> = (0..2000)
            .map(|_| {
                let _ = norm.forward(&Tensor::randn([batch, 1], DOUBLE), TRAIN, &NOTHING);
                [0, 1].map(|part: usize| averages(&norm)[part].double_value(&[0]))
            })
            .collect();
        [0, 1].map(|part| {
            let column: Vec<f64> = taken.iter().map(|pair| pair[part]).collect();
            Tensor::from_slice(&column).std(true).double_value(&[])
        })
    };
    let (small, large) = (spread(8), spread(128));
    for part in [0, 1] {
        // The standard deviation falls as 1/√m: a quarter for sixteen times the images.
        let ratio = small[part] / large[part];
        assert!((3.6..4.6).contains(&ratio), "{small:?} against {large:?}");
    }
}

#[test]
fn losses_at_prediction_do_not_depend_on_the_batch() {
    let _guard = tch::no_grad_guard();
    let norm = batch_norm(true, 3);
    let x = numbers(&[8, 3, 4, 4]);
    let _ = norm.forward(&x, TRAIN, &NOTHING);
    let together = norm.forward(&x, Mode::Predict, &NOTHING).narrow(0, 5, 1);
    let alone = norm.forward(&x.narrow(0, 5, 1), Mode::Predict, &NOTHING);
    assert_eq!(together.mse_loss(&alone, Reduction::Sum).double_value(&[]), 0.0);
}

#[test]
fn in_bf16_the_fused_operation_is_that_of_f32_rounded_once() {
    for (shape, layout) in [&[70, 4, 31, 17], &[9, 24, 7, 7], &[40, 16, 16, 16], &[16, 3, 1, 1]]
        .iter()
        .flat_map(|shape| Layout::ALL.iter().map(move |layout| (shape, *layout)))
    {
        for (relu, has_added) in [(false, false), (true, false), (false, true), (true, true)] {
            let place = |x: &Tensor| match layout {
                Layout::Nchw => x.shallow_clone(),
                Layout::ChannelsLast => channels_last(x),
                Layout::BatchLast => batch_last(x),
            };
            let short = |x: Tensor| place(&x.to_kind(Kind::BFloat16));
            let x = short(numbers(*shape));
            let added = has_added.then(|| short(numbers(*shape).cos()));
            let of = |x: &Tensor, added: Option<&Tensor>| {
                let norm = batch_norm_of(Kind::Float, false, shape[1]);
                all_of(x, added, &norm, |x, added, mode| {
                    assert!(NormRelu::takes(x));
                    norm.forward(x, mode, &After { added, relu, own: false })
                })
            };
            let found = of(&x, added.as_ref());
            let widened = added.as_ref().map(|added| added.to_kind(Kind::Float));
            let expected = of(&x.to_kind(Kind::Float), widened.as_ref());
            for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
                // Gradients with ReLU are those of f32 but where rounding made a value 0.
                let size = expected.abs().max().double_value(&[]).max(1.0);
                let apart = distance(&found.to_kind(Kind::Float), expected) / size;
                assert!(apart < 0.01, "{shape:?} {layout} {relu} {has_added} {place}: {apart:e}");
            }
        }
    }
}
