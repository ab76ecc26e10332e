use super::*;
use crate::placement::Placement;
use fathom_arch::{Initial, Role};
use fathom_spec::Decay;

fn parameters(decay: Decay) -> Parameters {
    let initial = |name: &str, role, value| Initial {
        name: name.into(),
        shape: vec![1],
        values: vec![value],
        role,
    };
    let all = [initial("w", Role::Weight, 1.0), initial("b", Role::Bias, 2.0)];
    Parameters::new(&all, decay, Placement::plain(tch::Device::Cpu, tch::Kind::Float))
}

/// Parameters after updates whose gradients are always (1, 1).
fn after(steps: usize, choice: Choice, weight_decay: f64, decay: Decay) -> Vec<f64> {
    let mut parameters = parameters(decay);
    let mut optimiser = Optimiser::new(choice, weight_decay, None, &parameters);
    for _ in 0..steps {
        let gradients = Tensor::from_slice(&[1.0f32, 1.0]);
        optimiser.prepare(0.1);
        optimiser.step(&mut parameters, gradients);
    }
    Vec::<f64>::try_from(parameters.flat().shallow_clone()).unwrap()
}

fn close(found: &[f64], expected: &[f64]) {
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-6, "{found:?} against {expected:?}");
    }
}

#[test]
fn sgd_follows_its_formula() {
    let sgd = |nesterov| Choice::Sgd { momentum: 0.9, nesterov };
    // The momentum buffer is 1, then 1.9.
    close(&after(2, sgd(false), 0.0, Decay::All), &[1.0 - 0.29, 2.0 - 0.29]);
    // The steps g + 0.9 v are 1.9, then 2.71.
    close(&after(2, sgd(true), 0.0, Decay::All), &[1.0 - 0.461, 2.0 - 0.461]);
}

#[test]
fn decay_reaches_all_parameters_or_only_weights() {
    let sgd = Choice::Sgd { momentum: 0.0, nesterov: false };
    close(&after(1, sgd, 0.5, Decay::All), &[1.0 - 0.1 * 1.5, 2.0 - 0.1 * 2.0]);
    close(&after(1, sgd, 0.5, Decay::Weights), &[1.0 - 0.1 * 1.5, 2.0 - 0.1]);
}

#[test]
fn adam_and_rmsprop_follow_their_formulas() {
    let adam = Choice::Adam { is_decay_decoupled: false, beta1: 0.9, beta2: 0.999 };
    // With a constant gradient both corrected moments are 1.
    close(&after(3, adam, 0.0, Decay::All), &[0.7, 1.7]);
    // Decoupled decay multiplies by 0.95 in each update, and leaves the moments alone.
    let adamw = Choice::Adam { is_decay_decoupled: true, beta1: 0.9, beta2: 0.999 };
    let shrunk = |from: f64| (0..3).fold(from, |value, _| value * 0.95 - 0.1);
    close(&after(3, adamw, 0.5, Decay::All), &[shrunk(1.0), shrunk(2.0)]);
    close(&after(3, adamw, 0.5, Decay::Weights), &[shrunk(1.0), 1.7]);
    let rms = Choice::RmsProp { alpha: 0.99 };
    close(&after(1, rms, 0.0, Decay::All), &[1.0 - 0.1 / 0.1, 2.0 - 0.1 / 0.1]);
}

#[test]
fn clipped_gradients_follow_the_formula_in_f64() {
    for (count, spread, most) in [(100_000, 3.0, 5.0), (1000, 1e-3, 1.0), (7, 1e9, 0.25)] {
        let values: Vec<f32> =
            (0..count).map(|at| (spread * (f64::from(at) * 0.7).sin()) as f32).collect();
        let squares: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
        let factor = (most / (squares.sqrt() + 1e-6)).min(1.0);
        let mut clipped = Tensor::from_slice(&values);
        clip(&mut clipped, most);
        for (found, value) in Vec::<f32>::try_from(&clipped).unwrap().iter().zip(&values) {
            let expected = f64::from(*value) * factor;
            let difference = (f64::from(*found) - expected).abs();
            assert!(difference <= 1e-6 * expected.abs(), "{found} against {expected}");
        }
    }
    let mut not_finite = Tensor::from_slice(&[1.0f32, f32::NAN]);
    clip(&mut not_finite, 1.0);
    assert!(not_finite.isnan().all().int64_value(&[]) == 1, "divergence stays visible");
}

#[test]
fn gradients_are_clipped_before_weight_decay() {
    let mut parameters = parameters(Decay::All);
    let sgd = Choice::Sgd { momentum: 0.0, nesterov: false };
    let mut optimiser = Optimiser::new(sgd, 0.5, Some(1.0), &parameters);
    optimiser.prepare(0.1);
    optimiser.step(&mut parameters, Tensor::from_slice(&[3.0f32, 4.0]));
    let found = Vec::<f64>::try_from(parameters.flat().shallow_clone()).unwrap();
    close(&found, &[1.0 - 0.1 * (0.6 + 0.5), 2.0 - 0.1 * (0.8 + 1.0)]);
}

#[test]
fn leaves_share_memory_with_the_flat_tensor() {
    let mut parameters = parameters(Decay::All);
    let loss = parameters.leaf("w") * 3.0 + parameters.leaf("b") * 5.0;
    let gradients = parameters.gradients(&loss.sum(tch::Kind::Float));
    assert_eq!(Vec::<f32>::try_from(&gradients).unwrap(), [3.0, 5.0]);
    let sgd = Choice::Sgd { momentum: 0.0, nesterov: false };
    let mut optimiser = Optimiser::new(sgd, 0.0, None, &parameters);
    optimiser.prepare(0.1);
    optimiser.step(&mut parameters, gradients);
    assert!((parameters.leaf("b").double_value(&[0]) - 1.5).abs() < 1e-6);
}

#[test]
fn restored_optimisers_continue_exactly() {
    for choice in [
        Choice::Sgd { momentum: 0.9, nesterov: true },
        Choice::Adam { is_decay_decoupled: false, beta1: 0.9, beta2: 0.999 },
        Choice::Adam { is_decay_decoupled: true, beta1: 0.9, beta2: 0.999 },
        Choice::RmsProp { alpha: 0.99 },
        Choice::Muon { momentum: 0.9, sgd_factor: 0.5 },
    ] {
        let mut through = parameters(Decay::All);
        let mut optimiser = Optimiser::new(choice, 0.1, Some(1.5), &through);
        let update = |optimiser: &mut Optimiser, parameters: &mut Parameters, gradient: f32| {
            optimiser.prepare(0.1);
            optimiser.step(parameters, Tensor::from_slice(&[gradient, -gradient]));
        };
        update(&mut optimiser, &mut through, 1.0);
        update(&mut optimiser, &mut through, 3.0);
        let mut resumed = parameters(Decay::All);
        resumed.flat().copy_(&through.flat().copy());
        let mut restored = Optimiser::new(choice, 0.1, Some(1.5), &resumed);
        restored.restore(&resumed, &optimiser.state(&through).unwrap(), 2).unwrap();
        update(&mut optimiser, &mut through, -2.0);
        update(&mut restored, &mut resumed, -2.0);
        assert_eq!(
            Vec::<f32>::try_from(&*through.flat()).unwrap(),
            Vec::<f32>::try_from(&*resumed.flat()).unwrap(),
            "{choice:?}"
        );
        assert_eq!(optimiser.state(&through).unwrap(), restored.state(&resumed).unwrap());
    }
}

#[test]
fn state_of_another_optimiser_or_net_is_refused() {
    let parameters = parameters(Decay::All);
    let adam = Choice::Adam { is_decay_decoupled: false, beta1: 0.9, beta2: 0.999 };
    let mut adam = Optimiser::new(adam, 0.0, None, &parameters);
    let mut error =
        |state: &[Vec<f32>]| adam.restore(&parameters, state, 1).unwrap_err().to_string();
    assert_eq!(
        error(&[vec![0.0; 2]]),
        "the checkpoint's optimiser state has 1 parts, this run's optimiser has 2: \
         exp_avg, exp_avg_sq"
    );
    assert_eq!(
        error(&[vec![0.0; 2], vec![0.0; 3]]),
        "the checkpoint's exp_avg_sq of the optimiser has 3 values, expected 2"
    );
}
