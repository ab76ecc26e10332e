use super::*;
use tch::Device;

#[test]
fn measurements_are_spaced_by_the_logarithm_from_the_untrained_net_to_the_last_update() {
    let due: Vec<u64> = (0..=320).filter(|step| is_due(*step, 320)).collect();
    assert_eq!(due, [0, 1, 2, 5, 10, 20, 50, 100, 200, 320]);
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
