//! Claims about columns of `layers.csv`.

use super::sweeps::{Run, Sweeps};
use super::{LEVEL, Normal, bound};

const NORM: &str = "metric = \"gradient_norm\"";

/// Norms in eight layers, whose logarithms vary by one deviation, half of its variance for the whole net and half by
/// layer. They are `gap` greater in the logarithm, and fall with every layer.
fn norms(normal: &mut Normal, gap: f64) -> Vec<f64> {
    let half = 0.5f64.sqrt();
    let net = gap + half * normal.next();
    (0..8).map(|layer| (net - 0.1 * f64::from(layer) + half * normal.next()).exp()).collect()
}

/// The share of supported claims that 44 layers have a greater value than 8, where they have by this gap.
fn greater(what: &str, gap: f64) -> f64 {
    let claim =
        format!("{what}\nscale = \"log\"\nhigher = {{ depth = 44 }}\nlower = {{ depth = 8 }}");
    let mut sweeps = Sweeps::new("pairing = \"none\"", &[8, 44], 5, &claim);
    sweeps.supported(|normal, depth| {
        Run::with_layers(norms(normal, if depth == 44 { gap } else { 0.0 }))
    })
}

#[test]
fn columns_of_layers_keep_the_level() {
    let at = |layers: &str| format!("{NORM}\n{layers}");
    let growth = "metric = \"gradient_growth\"".to_owned();
    let all = [at("layer = 3"), at("over_layers = \"mean\""), at("over_layers = \"max\""), growth];
    for what in all {
        let found = greater(&what, 0.0);
        assert!(found <= bound(LEVEL), "{what}: {found}");
    }
}

#[test]
fn bounds_on_the_extremes_of_layers_nearly_keep_the_level() {
    for (word, extreme) in [("max", f64::max as fn(f64, f64) -> f64), ("min", f64::min)] {
        let mut normal = Normal::new(9);
        let of_net = |_| norms(&mut normal, 0.0).into_iter().reduce(extreme).unwrap().ln();
        let draws = 400_000;
        let mean = ((0..draws).map(of_net).sum::<f64>() / f64::from(draws)).exp();
        for side in ["at_most", "at_least"] {
            let claim = format!(
                "{NORM}\nover_layers = \"{word}\"\nscale = \"log\"\nof = {{ depth = 44 }}\n{side} = {mean}"
            );
            let mut sweeps = Sweeps::new("", &[8, 44], 3, &claim);
            let found = sweeps.supported(|normal, _| Run::with_layers(norms(normal, 0.0)));
            assert!(found <= bound(0.055), "{word} {side}: {found}");
        }
    }
}

#[test]
fn a_factor_in_one_layer_is_seen() {
    let found = greater(&format!("{NORM}\nlayer = 3"), 2.0);
    assert!(found > 0.87, "{found}");
}
