//! Dense blocks whose concatenations and normalisations are computed anew in the backward pass, so that memory
//! grows linearly with the number of layers and not with its square (1707.06990).

use super::{Affine, Mode, Module, Pass, chain, concatenated};
use crate::shim::recompute::recomputed;
use std::sync::atomic::{AtomicBool, Ordering};
use tch::Tensor;

/// Applies dense layers, of which these are the branches, one after the other. Each takes the outputs of all before
/// it; they are put together where they are used, and kept only as they are.
pub(super) fn dense_run(branches: &[&[Module]], x: Tensor, pass: &mut Pass) -> Tensor {
    let mut features = vec![x];
    for branch in branches {
        // Up to the first convolution, whose output has few channels.
        let is_conv = |module: &Module| matches!(module, Module::Conv { .. });
        let end = branch.iter().position(is_conv).map_or(branch.len(), |at| at + 1);
        let (head, rest) = branch.split_at(end);
        let response = head_recomputed(head, &features, pass.mode);
        features.push(chain(rest, &response, pass));
    }
    concatenated(&features, 1)
}

fn head_recomputed(head: &[Module], features: &[Tensor], mode: Mode) -> Tensor {
    let count = features.len();
    let mut inputs: Vec<Tensor> = features.iter().map(Tensor::shallow_clone).collect();
    let template = with_leaves(head, true, &mut |leaf| {
        inputs.push(leaf.shallow_clone());
        leaf.shallow_clone()
    });
    let is_first = AtomicBool::new(true);
    recomputed(
        &inputs,
        Box::new(move |inputs| {
            let (features, leaves) = inputs.split_at(count);
            let mut leaves = leaves.iter().map(Tensor::shallow_clone);
            // The running averages move once.
            let is_sharing = is_first.swap(false, Ordering::Relaxed);
            let modules = with_leaves(&template, is_sharing, &mut |_| {
                leaves.next().expect("a leaf for each parameter")
            });
            chain(&modules, &concatenated(features, 1), &mut Pass { mode, taps: None })
        }),
    )
}

/// The same modules with what `exchange` makes of each leaf, and with running averages of their own unless
/// these are shared.
fn with_leaves(
    modules: &[Module],
    is_sharing: bool,
    exchange: &mut dyn FnMut(&Tensor) -> Tensor,
) -> Vec<Module> {
    let mut rebuilt = |module: &Module| match module {
        Module::Norm(norm) => {
            let (gamma, beta) = (exchange(&norm.gamma), exchange(&norm.beta));
            Module::Norm(norm.with(gamma, beta, is_sharing))
        }
        Module::Activation(activation) => Module::Activation(*activation),
        Module::Conv { affine, dirac: None, stride, padding, batch_last } => Module::Conv {
            affine: Affine {
                name: affine.name.clone(),
                weight: exchange(&affine.weight),
                bias: affine.bias.as_ref().map(&mut *exchange),
            },
            dirac: None,
            stride: *stride,
            padding: *padding,
            batch_last: *batch_last,
        },
        Module::Conv { .. }
        | Module::Residual { .. }
        | Module::MaxPool { .. }
        | Module::AvgPool { .. }
        | Module::Concat { .. }
        | Module::Dropout { .. }
        | Module::Flatten
        | Module::GlobalAvgPool
        | Module::Linear(_)
        | Module::Scale(_)
        | Module::Shift(_) => {
            unreachable!("a dense layer begins with normalisation, activation and convolution")
        }
    };
    modules.iter().map(&mut rebuilt).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TRAIN, build_with, images};
    use super::super::*;
    use serde_json::{Value, json};
    use tch::Kind;

    /// Loss, flat gradients and moving averages after one forward and backward pass.
    fn pass_of(set: &[(&str, Value)], recompute: bool, mode: Mode) -> (f64, Tensor, Vec<Tensor>) {
        let mut keys = vec![
            ("network.family", json!("dense")),
            ("network.depth", json!(16)),
            ("network.growth", json!(3)),
            ("network.recompute", json!(recompute)),
        ];
        keys.extend_from_slice(set);
        let (_, parameters, net) = build_with(&keys);
        let logits = net.forward(&images(6), mode);
        let loss = (&logits * &logits).mean(Kind::Float);
        (loss.double_value(&[]), parameters.gradients(&loss), net.statistics())
    }

    #[test]
    fn values_gradients_and_averages_are_those_without() {
        let sub_batches = Mode::Train { norm_batch: Some(3) };
        for (set, mode) in [
            (vec![], TRAIN),
            (vec![], sub_batches),
            (vec![("network.bottleneck", json!(true)), ("network.compression", json!(0.5))], TRAIN),
            (vec![("network.norm", json!("none"))], TRAIN),
            (vec![("network.norm", json!("group")), ("network.norm_groups", json!(1))], TRAIN),
        ] {
            let (loss, gradients, averages) = pass_of(&set, true, mode);
            let (expected, of_all, known) = pass_of(&set, false, mode);
            assert_eq!(loss, expected, "{set:?}");
            let difference = (&gradients - &of_all).abs().max().double_value(&[]);
            let largest = of_all.abs().max().double_value(&[]);
            assert!(difference <= 1e-5 * largest, "{set:?}: {difference} of {largest}");
            assert!(averages.iter().zip(&known).all(|(a, b)| a == b), "{set:?}");
        }
    }
}
