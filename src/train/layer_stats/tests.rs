use super::*;
use crate::context::testing::tiny;
use crate::data_loader::DataLoader;
use crate::net::Mode;
use crate::running_metrics::RunningMetrics;
use fathom_record::RunDir;
use tch::Device;

/// The rows of `layers.csv` around the first update of a tiny net with these further keys, on `count` images.
/// `prepare` changes the untrained net.
fn rows(keys: &[&str], count: usize, prepare: impl Fn(&Learner, &Tensor)) -> Vec<LayerRow> {
    let (network, context) = tiny(keys);
    let mut learner = Learner::new(&network, &context.settings, context.device.placement, false);
    let images = &context.data.dataset.train;
    let source = context.data.source(images);
    let folder = tempfile::tempdir().unwrap();
    let directory = RunDir::new(folder.path());
    let writer = directory.layer_writer(None).unwrap();
    let all: Vec<u32> = (0..images.len() as u32).collect();
    prepare(&learner, &source.plain(&all).0);
    let mut probe = LayerProbe::new(images.labels(), &source, count, writer);
    assert_eq!(probe.images.size()[0], count.min(images.len()) as i64);
    let before = probe.measure(&learner, 0);
    let batch = DataLoader::new(images.len(), &context.settings).batch(&source, 0);
    learner.step(0, &batch, 0.1, &mut RunningMetrics::new(Device::Cpu));
    probe.compare(&learner, before).unwrap();
    drop(probe);
    directory.layers().unwrap()
}

#[test]
fn responses_change_in_every_layer_with_and_without_normalisation() {
    for family in ["plain", "residual"] {
        for norm in ["batch", "none"] {
            let keys = [format!("network.family={family}"), format!("network.norm={norm}")];
            let rows = rows(&keys.each_ref().map(String::as_str), 64, |_, _| ());
            assert_eq!(rows.len(), 8, "{family}, {norm}: up to the layer of the classes");
            for row in &rows {
                let change = row.response_change.expect("a change");
                assert!(change > 0.0 && change.is_finite(), "{family}, {norm}: {row:?}");
                let is_normalised = norm == "batch" && row.name != "fc";
                assert_eq!(row.mean_gap.is_some(), is_normalised, "{family}, {norm}: {row:?}");
                assert_eq!(row.variance_gap.is_some(), is_normalised);
            }
        }
    }
}

#[test]
fn a_larger_reference_measures_gaps_more_exactly() {
    // The moving averages are the moments of all 50 training images.
    let refresh = |learner: &Learner, images: &Tensor| {
        let _guard = tch::no_grad_guard();
        let _ = learner.net.forward(images, Mode::Refresh { batches: 0 });
    };
    let largest = |count: usize| {
        let rows = rows(&[], count, refresh);
        let gaps = rows.iter().filter_map(|row| row.mean_gap.map(f64::abs));
        gaps.chain(rows.iter().filter_map(|row| row.variance_gap.map(f64::abs))).fold(0.0, f64::max)
    };
    let (few, most, all) = (largest(10), largest(40), largest(50));
    assert!(all < 1e-3, "no gap to itself: {all}");
    assert!(few > 2.0 * most && most > 10.0 * all, "{few}, {most}, {all}");
}

#[test]
fn the_cosine_is_the_mean_over_pairs() {
    let rows = |values: &[f32]| Tensor::from_slice(values).view([-1, 2]);
    assert!((cosine(&rows(&[1.0, 0.0, 3.0, 0.0])) - 1.0).abs() < 1e-12);
    assert!(cosine(&rows(&[1.0, 0.0, 0.0, 2.0])).abs() < 1e-12);
    // Of three pairs one is at an angle of 90°, and two are at 45°.
    let expected = 2.0 * 0.5f64.sqrt() / 3.0;
    assert!((cosine(&rows(&[1.0, 0.0, 0.0, 2.0, 1.0, 1.0])) - expected).abs() < 1e-6);
    // An image of zeros has cosine 0 with every other.
    assert!(cosine(&rows(&[0.0, 0.0, 1.0, 0.0])).abs() < 1e-12);
}

#[test]
fn a_channel_is_dead_when_it_is_zero_for_all_images() {
    let values = Tensor::from_slice(&[0f32, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0]).view([2, 4, 1, 1]);
    assert_eq!(dead(&values), 75.0);
    assert_eq!(dead(&values.view([2, 4])), 75.0);
}

#[test]
fn gaps_are_measured_in_deviations_of_the_batch() {
    let place = (Kind::Float, Device::Cpu);
    let batch =
        Moments { mean: Tensor::zeros([2], place), variance: Tensor::from_slice(&[4f32, 1.0]) };
    let running = Moments {
        mean: Tensor::from_slice(&[2f32, 1.0]),
        variance: Tensor::from_slice(&[8f32, 2.0]),
    };
    let (means, variances) = (mean_gap(&running, &batch), variance_gap(&running, &batch));
    assert!((means - 1.0).abs() < 1e-4, "{means}");
    assert!((variances - 2f64.ln()).abs() < 1e-4, "{variances}");
}
