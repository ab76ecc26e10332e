//! Claims that a metric rises or falls with depth.

use super::sweeps::{Run, Sweeps};
use super::{LEVEL, bound};

fn sweeps(pairing: &str, seeds: usize, claim: &str) -> Sweeps {
    let of = "of = { family = \"plain\" }";
    let head = format!("pairing = \"{pairing}\"");
    Sweeps::new(&head, &[8, 20, 32, 44], seeds, &format!("{of}\n{claim}"))
}

/// The share of supported claims where training errors, or their logarithms, are `rise` more at 44 layers than at 8,
/// along a line, with these deviations at both.
fn supported(sweeps: &mut Sweeps, rise: f64, [deep, shallow]: [f64; 2], is_log: bool) -> f64 {
    sweeps.supported(|normal, depth| {
        let part = (depth - 8) as f64 / 36.0;
        let value = part * rise + (shallow + part * (deep - shallow)) * normal.next();
        Run::with_error(if is_log { value.exp() } else { 50.0 + value })
    })
}

#[test]
fn trends_keep_the_level() {
    let rises = "rises_with = \"depth\"\nby_at_least = 2";
    for seeds in [3, 5] {
        for spreads in [[1.0, 1.0], [0.1, 1.0]] {
            let found = supported(&mut sweeps("seed", seeds, rises), 2.0, spreads, false);
            assert!(found <= bound(LEVEL), "{seeds} {spreads:?}: {found}");
        }
        // As other claims without pairs where one arm varies ten times as much.
        let found = supported(&mut sweeps("none", seeds, rises), 2.0, [0.1, 1.0], false);
        assert!(found <= bound(0.057), "{seeds}: {found}");
        let found = supported(&mut sweeps("none", seeds, rises), 2.0, [1.0, 1.0], false);
        assert!(found <= bound(LEVEL), "{seeds}: {found}");
    }
    let falls = "falls_with = \"depth\"\nby_at_least = 2\nscale = \"log\"";
    let found = supported(&mut sweeps("none", 5, falls), -2f64.ln(), [1.0, 1.0], true);
    assert!(found <= bound(LEVEL), "{found}");
}

#[test]
fn a_rise_is_seen() {
    let mut rises = sweeps("none", 5, "rises_with = \"depth\"\nby_at_least = 2");
    let found = supported(&mut rises, 4.0, [1.0, 1.0], false);
    assert!(found > 0.9, "{found}");
}
