//! Claims about the number of updates to a threshold, which some runs do not reach.

use super::sweeps::{Run, Sweeps};
use super::{LEVEL, bound, uniform};

const LATER: &str = "higher = { depth = 44 }\nlower = { depth = 8 }\n";

fn sweeps(depths: &[u64], seeds: usize, claim: &str) -> Sweeps {
    let time = "updates_to = { metric = \"train_err_pct\", below = 20 }";
    Sweeps::new("pairing = \"none\"", depths, seeds, &format!("{time}\n{claim}"))
}

/// The share of supported claims where times are around e⁹ updates: `gap` more in the logarithm at 44 layers than at
/// 8, along a line, with these deviations of the logarithm at both. Runs are stopped after e⁹⁺`last` updates.
fn supported(sweeps: &mut Sweeps, gap: f64, [deep, shallow]: [f64; 2], last: f64) -> f64 {
    let last = (9.0 + last).exp().round() as u64;
    sweeps.supported(|normal, depth| {
        let part = (depth - 8) as f64 / 36.0;
        let spread = shallow + part * (deep - shallow);
        let time = 9.0 + part * gap + spread * normal.next();
        Run::that_gets_there_after(time.exp(), last)
    })
}

#[test]
fn censored_times_support_falsely_as_rarely_as_the_level_says() {
    // Where only the times at 44 layers vary, all of them may be shortened to one that is longer than at 8.
    for (seeds, spreads) in [(3, [1.0, 0.1]), (5, [1.0, 0.1]), (5, [1.0, 1.0])] {
        let mut later = sweeps(&[8, 44], seeds, &format!("{LATER}scale = \"log\""));
        let found = supported(&mut later, 0.0, spreads, 0.5);
        assert!(found <= bound(LEVEL), "{seeds} seeds, {spreads:?}: {found}");
    }
    let mut linear = sweeps(&[8, 44], 5, LATER);
    let found = supported(&mut linear, 0.0, [0.3, 0.1], 0.1);
    assert!(found <= bound(LEVEL), "{found}");
    for seeds in [3, 5] {
        // e⁹ = 8103.08.
        let claim = "of = { depth = 44 }\nat_least = 8103.09\nscale = \"log\"";
        let found = supported(&mut sweeps(&[8, 44], seeds, claim), 0.0, [1.0, 1.0], 0.1);
        assert!(found <= bound(LEVEL), "{seeds} seeds: {found}");
    }
}

#[test]
fn a_longer_time_is_seen_where_half_of_the_runs_do_not_get_there() {
    let mut later = sweeps(&[8, 44], 5, &format!("{LATER}scale = \"log\""));
    let found = supported(&mut later, 3.0, [1.0, 1.0], 3.0);
    assert!(found > 0.9, "{found}");
    let mut later = sweeps(&[8, 44], 5, &format!("{LATER}scale = \"rank\""));
    let found = supported(&mut later, 2.5, [1.0, 1.0], 2.5);
    assert!(found > 0.94, "{found}");
}

#[test]
fn trends_of_censored_times_keep_the_level_and_are_seen() {
    let claim =
        "of = { family = \"plain\" }\nrises_with = \"depth\"\nby_at_least = 2\nscale = \"log\"";
    let mut trend = sweeps(&[8, 20, 32, 44], 5, claim);
    let found = supported(&mut trend, 2f64.ln(), [1.0, 0.1], 1.0);
    assert!(found <= bound(LEVEL), "{found}");
    // A factor of 55 against one of 2.
    let found = supported(&mut trend, 4.0, [1.0, 1.0], 4.0);
    assert!(found > 0.93, "{found}");
}

#[test]
fn ranks_of_censored_times_keep_the_level() {
    for seeds in [3, 5] {
        let mut later = sweeps(&[8, 44], seeds, &format!("{LATER}scale = \"rank\""));
        for last in [0.0, 1.0] {
            let found = supported(&mut later, 0.0, [1.0, 1.0], last);
            assert!(found <= bound(LEVEL), "{seeds} seeds, {last}: {found}");
        }
        // Some runs diverge, and some are stopped so early that their order is not known.
        let found = later.supported(|normal, _| {
            let last = if uniform(normal) < 0.1 { 5_000 } else { 20_000 };
            let run = Run::that_gets_there_after((9.0 + normal.next()).exp(), last);
            if uniform(normal) < 0.3 { run.diverged() } else { run }
        });
        assert!(found <= bound(LEVEL), "{seeds} seeds: {found}");
    }
}
