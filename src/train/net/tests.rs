use super::*;
use crate::parameters::Parameters;
use crate::placement::Placement;
use fathom_arch::{defaults, family, network};
use fathom_record::Layout;
use fathom_spec::{Decay, Precision};
use tch::{Device, Kind};

pub const TRAIN: Mode = Mode::Train { norm_batch: None };

fn residual_8() -> (Network, Parameters, Net) {
    build_with(&[])
}

/// A residual net of 8 layers and width 4 for images of 8×8, with other values of some keys.
pub fn build_with(set: &[(&str, serde_json::Value)]) -> (Network, Parameters, Net) {
    build_for(set, 8)
}

fn build_for(set: &[(&str, serde_json::Value)], size: usize) -> (Network, Parameters, Net) {
    build_as(set, size, Kind::Float)
}

/// The same net in another kind of numbers.
pub fn build_as(
    set: &[(&str, serde_json::Value)],
    size: usize,
    kind: Kind,
) -> (Network, Parameters, Net) {
    let name = set.iter().find(|(key, _)| *key == "network.family").map(|(_, value)| value);
    let name = name.and_then(|value| value.as_str()).unwrap_or("residual");
    let family = family(name).unwrap();
    let mut keys = defaults(family);
    keys.insert("network.family".into(), name.into());
    for (key, value) in [("depth", 8), ("width", 4), ("norm_groups", 2)] {
        keys.insert(format!("network.{key}"), value.into());
    }
    keys.extend(set.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let network = network(&keys, [3, size, size], 10).unwrap();
    let parameters =
        Parameters::new(&network.initial(0), Decay::All, Placement::plain(Device::Cpu, kind));
    let net = Net::new(&network, &parameters);
    (network, parameters, net)
}

pub fn images(n: i64) -> Tensor {
    images_of(n, 8)
}

pub fn images_of(n: i64, size: i64) -> Tensor {
    let count = n * 3 * size * size;
    let waves = (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 0.7).sin();
    (waves + Tensor::arange(count, (Kind::Float, Device::Cpu)) * 1e-3).view([n, 3, size, size])
}

pub fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn the_net_has_as_many_parameters_as_its_audit() {
    let (network, parameters, _) = residual_8();
    assert_eq!(network.parameter_count(), parameters.len() as u64);
}

#[test]
fn at_prediction_logits_do_not_depend_on_the_batch() {
    let _guard = tch::no_grad_guard();
    let (_, _, net) = residual_8();
    let batch = images(6);
    let _ = net.forward(&batch, TRAIN);
    let together = net.forward(&batch, Mode::Predict);
    let alone = net.forward(&batch.narrow(0, 2, 1), Mode::Predict);
    assert!(distance(&together.narrow(0, 2, 1), &alone) < 1e-5);
    let in_training = net.forward(&batch.narrow(0, 2, 1), TRAIN);
    assert!(distance(&together.narrow(0, 2, 1), &in_training) > 1e-3);
}

#[test]
fn sub_batches_have_their_own_statistics_and_only_the_first_updates_the_averages() {
    let _guard = tch::no_grad_guard();
    let batch = images(8);
    let (_, _, net) = residual_8();
    let parts = net.forward(&batch, Mode::Train { norm_batch: Some(4) });
    let averages = net.statistics();
    let (_, _, other) = residual_8();
    let first = other.forward(&batch.narrow(0, 0, 4), TRAIN);
    assert!(distance(&parts.narrow(0, 0, 4), &first) < 1e-5);
    for (a, b) in averages.iter().zip(other.statistics()) {
        assert!(distance(a, &b) < 1e-5);
    }
    let second = other.forward(&batch.narrow(0, 4, 4), TRAIN);
    assert!(distance(&parts.narrow(0, 4, 4), &second) < 1e-5);
}

#[test]
fn refreshed_averages_are_the_mean_over_batches_and_can_be_restored() {
    let _guard = tch::no_grad_guard();
    let (_, _, net) = residual_8();
    let before = net.statistics();
    let stem_mean = |batch: &Tensor| {
        let (_, parameters, _) = residual_8();
        let weight = parameters.leaf("conv1.weight");
        let out = batch.conv2d(&weight, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1);
        out.mean_dim([0i64, 2, 3].as_slice(), false, Kind::Float)
    };
    let (a, b) = (images(4), images(8).narrow(0, 4, 4));
    let _ = net.forward(&a, Mode::Refresh { batches: 0 });
    let _ = net.forward(&b, Mode::Refresh { batches: 1 });
    let expected = (stem_mean(&a) + stem_mean(&b)) / 2.0;
    assert!(distance(&net.statistics()[0], &expected) < 1e-5);
    net.restore_statistics(&before);
    assert!(net.statistics().iter().zip(&before).all(|(a, b)| distance(a, b) == 0.0));
}

#[test]
fn batch_norm_from_its_formulas_is_libtorch_s() {
    let formula = [("network.norm", "batch-formula".into())];
    let ((_, parameters, fused), (_, others, formula)) = (residual_8(), build_with(&formula));
    let batch = images(6);
    let labels = Tensor::from_slice(&[0i64, 1, 2, 3, 4, 5]);
    let step = |net: &Net, parameters: &Parameters| {
        let loss = net.forward(&batch, TRAIN).cross_entropy_for_logits(&labels);
        (parameters.gradients(&loss), loss.double_value(&[]))
    };
    let ((a, loss_a), (b, loss_b)) = (step(&fused, &parameters), step(&formula, &others));
    assert!((loss_a - loss_b).abs() < 1e-5, "{loss_a} {loss_b}");
    assert!(distance(&a, &b) < 1e-4, "{}", distance(&a, &b));
    for (a, b) in fused.statistics().iter().zip(formula.statistics()) {
        assert!(distance(a, &b) < 1e-5, "running averages");
    }
    let predict = |net: &Net| net.forward(&batch, Mode::Predict);
    assert!(distance(&predict(&fused), &predict(&formula)) < 1e-4);
}

#[test]
fn group_and_layer_norm_do_not_depend_on_the_batch_even_in_training() {
    let _guard = tch::no_grad_guard();
    for norm in ["group", "layer", "none"] {
        let (_, _, net) = build_with(&[("network.norm", norm.into())]);
        let batch = images(6);
        let together = net.forward(&batch, TRAIN);
        let alone = net.forward(&batch.narrow(0, 2, 1), TRAIN);
        assert!(distance(&together.narrow(0, 2, 1), &alone) < 1e-5, "{norm}");
        assert!(net.statistics().is_empty());
    }
}

#[test]
fn every_block_shortcut_and_stem_gives_logits_and_gradients_for_all_parameters() {
    let text = |word: &str| serde_json::Value::from(word);
    let sets: &[&[(&str, serde_json::Value)]] = &[
        &[("network.shortcut", text("b"))],
        &[("network.shortcut", text("c"))],
        &[("network.shortcut_pad", text("split"))],
        &[("network.block", text("bottleneck")), ("network.depth", 11.into())],
        &[
            ("network.family", text("dense")),
            ("network.depth", 10.into()),
            ("network.growth", 4.into()),
            ("network.bottleneck", true.into()),
            ("network.compression", 0.5.into()),
            ("network.dropout", 0.2.into()),
        ],
        &[("network.family", text("preact")), ("network.shortcut", text("b"))],
        &[
            ("network.depth", 18.into()),
            ("network.stem", text("imagenet")),
            ("network.shortcut", text("b")),
        ],
        &[("network.family", text("plain")), ("network.norm", text("group"))],
        &[("network.family", text("mlp")), ("network.norm", text("batch-formula"))],
        &[("network.family", text("residual-mlp")), ("network.norm", text("group"))],
        &[("network.family", text("residual-mlp")), ("network.norm", text("layer"))],
        &[("network.family", text("lenet")), ("network.norm", text("batch"))],
        &[("network.family", text("lenet")), ("network.norm", text("batch-formula"))],
        &[("network.norm", text("none")), ("network.init", text("fixup"))],
        &[
            ("network.family", text("preact")),
            ("network.norm", text("none")),
            ("network.init", text("skipinit")),
        ],
        &[
            ("network.family", text("residual-mlp")),
            ("network.norm", text("none")),
            ("network.init", text("fixup")),
            ("network.depth", 9.into()),
        ],
    ];
    for set in sets {
        let size = if set.iter().any(|(_, value)| value == "imagenet") { 32 } else { 12 };
        let (network, parameters, net) = build_for(set, size);
        let batch = images_of(4, size as i64);
        let labels = Tensor::from_slice(&[0i64, 1, 2, 3]);
        let logits = net.forward(&batch, TRAIN);
        assert_eq!(logits.size(), [4, 10], "{set:?}");
        let gradients = parameters.gradients(&logits.cross_entropy_for_logits(&labels));
        assert_eq!(gradients.numel() as u64, network.parameter_count(), "{set:?}");
        assert!(gradients.isfinite().all().int64_value(&[]) == 1, "{set:?}");
    }
}

#[test]
fn a_block_whose_branch_is_zero_is_the_identity() {
    let _guard = tch::no_grad_guard();
    // If γ and β of a block's last normalisation are 0, the branch is 0.
    let (_, parameters, net) = residual_8();
    let batch = images(4);
    let before = net.forward(&batch, TRAIN);
    for part in ["weight", "bias"] {
        let _ = parameters.leaf(&format!("layer1.0.bn2.{part}")).zero_();
    }
    let blocked = net.forward(&batch, TRAIN);
    assert!(distance(&before, &blocked) > 1e-3);
    // The other layers of the branch then have no effect.
    let _ = parameters.leaf("layer1.0.conv1.weight").fill_(0.5);
    assert!(distance(&blocked, &net.forward(&batch, TRAIN)) == 0.0);
}

#[test]
fn with_fixup_and_skipinit_every_block_begins_as_the_identity() {
    let _guard = tch::no_grad_guard();
    for (family, init) in [
        ("residual", "fixup"),
        ("residual", "skipinit"),
        ("preact", "fixup"),
        ("preact", "skipinit"),
    ] {
        let set = [
            ("network.family", family.into()),
            ("network.norm", "none".into()),
            ("network.init", init.into()),
        ];
        let (_, parameters, net) = build_with(&set);
        let fc = parameters.leaf("fc.weight");
        fc.shallow_clone().copy_(&Tensor::ones_like(&fc));
        let batch = images(4);
        let before = net.forward(&batch, TRAIN);
        // The first layer of a branch has no effect yet.
        for (name, leaf) in parameters.named() {
            if name.starts_with("layer") && name.ends_with("conv1.weight") {
                let _ = leaf.shallow_clone().fill_(0.3);
            }
        }
        let after = net.forward(&batch, TRAIN);
        assert!(distance(&before, &after) == 0.0, "{family} with {init}");
    }
}

#[test]
fn dropout_is_off_at_prediction_and_on_in_training() {
    let _guard = tch::no_grad_guard();
    let set = [
        ("network.family", "dense".into()),
        ("network.depth", 10.into()),
        ("network.growth", 4.into()),
        ("network.dropout", 0.5.into()),
    ];
    let (_, _, net) = build_with(&set);
    let batch = images(6);
    let _ = net.forward(&batch, TRAIN);
    let predict = || net.forward(&batch, Mode::Predict);
    let together = predict();
    assert!(distance(&together, &predict()) == 0.0);
    let alone = net.forward(&batch.narrow(0, 2, 1), Mode::Predict);
    assert!(distance(&together.narrow(0, 2, 1), &alone) < 1e-5);
    assert!(distance(&net.forward(&batch, TRAIN), &net.forward(&batch, TRAIN)) > 1e-3);
}

#[test]
fn nets_by_formula_are_libtorch_s_in_double_precision() {
    for family in ["residual", "preact", "dense", "mlp", "lenet"] {
        let step = |norm: &str| {
            let set = [("network.family", family.into()), ("network.norm", norm.into())];
            let depth = ("network.depth", if family == "dense" { 10 } else { 8 }.into());
            let set: Vec<_> = set.into_iter().chain([depth]).collect();
            let (_, parameters, net) = build_as(&set, 12, Kind::Double);
            let batch = images_of(6, 12).to_kind(Kind::Double);
            let labels = Tensor::from_slice(&[0i64, 1, 2, 3, 4, 5]);
            let loss = net.forward(&batch, TRAIN).cross_entropy_for_logits(&labels);
            (parameters.gradients(&loss), loss.double_value(&[]))
        };
        let ((a, loss_a), (b, loss_b)) = (step("batch"), step("batch-formula"));
        assert!((loss_a - loss_b).abs() < 1e-10, "{family}: {loss_a} {loss_b}");
        let apart = distance(&a, &b) / a.abs().max().double_value(&[]);
        assert!(apart < 1e-10, "{family}: {apart}");
    }
}

#[test]
fn layouts_agree_and_bf16_agrees_roughly() {
    let labels = Tensor::from_slice(&[0i64, 1, 2, 3, 4, 5]);
    let families = ["residual", "preact", "dense", "mlp", "lenet"];
    let with = |family: &str| {
        let depth = if family == "dense" { 10 } else { 8 };
        vec![("network.family", family.into()), ("network.depth", depth.into())]
    };
    let mut nets: Vec<(&str, Vec<(&str, serde_json::Value)>)> =
        families.iter().map(|family| (*family, with(family))).collect();
    for norm in ["group", "none"] {
        nets.push((norm, [with("residual"), vec![("network.norm", norm.into())]].concat()));
    }
    let modes = [TRAIN, Mode::Train { norm_batch: Some(4) }];
    for (mode, (family, set)) in
        modes.iter().flat_map(|mode| nets.iter().map(move |net| (mode, net)))
    {
        let network = build_as(set, 12, Kind::Float).0;
        let step = |place: Placement| {
            let parameters = Parameters::new(&network.initial(0), Decay::All, place);
            let net = Net::new(&network, &parameters);
            let logits = net.forward(&place.images(&images_of(6, 12)), *mode).to_kind(place.kind);
            let loss = logits.cross_entropy_for_logits(&labels);
            // The order of files does not depend on the placement.
            let gradients = parameters.export(&parameters.gradients(&loss)).unwrap();
            (Tensor::from_slice(&gradients), loss.double_value(&[]))
        };
        let double = Placement::plain(Device::Cpu, Kind::Double);
        let last = Placement { layout: Layout::ChannelsLast, ..double };
        let short = Placement::new(Device::Cpu, Layout::ChannelsLast, Precision::Bf16);
        let ((expected, loss), (gradients, same)) = (step(double), step(last));
        assert!((loss - same).abs() < 1e-10, "{family}: {loss} {same}");
        let size = expected.abs().max().double_value(&[]);
        // The export is in f32.
        assert!(distance(&expected, &gradients) / size < 1e-6, "{family}");
        let [plain, single] = [Layout::Nchw, Layout::BatchLast].map(|layout| {
            let (gradients, same) = step(Placement::new(Device::Cpu, layout, Precision::F32));
            assert!((loss - same).abs() < 1e-5, "{family}: {loss} {same}");
            distance(&expected, &gradients) / size
        });
        // A value within rounding of 0 may be positive in one and negative in the other.
        assert!(single < 4.0 * plain + 1e-5, "{family}: {single:e} {plain:e}");
        let (gradients, roughly) = step(short);
        assert!((loss - roughly).abs() < 0.1 * loss, "{family}: {loss} {roughly}");
        let alike = Tensor::cosine_similarity(&gradients, &expected, 0, 1e-12).double_value(&[]);
        assert!(alike > 0.9, "{family}: cosine {alike}");
    }
}

#[test]
fn a_block_whose_last_convolution_is_zero_has_no_effect() {
    let _guard = tch::no_grad_guard();
    for family in ["residual", "preact"] {
        for norm in ["batch", "group", "none"] {
            let with = |blocks: [usize; 3]| {
                let set = [
                    ("network.family", family.into()),
                    ("network.norm", norm.into()),
                    ("network.depth", serde_json::Value::Null),
                    ("network.blocks", blocks.to_vec().into()),
                ];
                build_with(&set)
            };
            let ((_, _, shallow), (_, parameters, deep)) = (with([1, 1, 1]), with([1, 2, 1]));
            let batch = images(4);
            assert!(distance(&shallow.forward(&batch, TRAIN), &deep.forward(&batch, TRAIN)) > 1e-3);
            let _ = parameters.leaf("layer2.1.conv2.weight").zero_();
            let apart = distance(&shallow.forward(&batch, TRAIN), &deep.forward(&batch, TRAIN));
            assert!(apart == 0.0, "{family} with {norm}: {apart}");
        }
    }
}
