//! The numbers of docs/claims.md: `cargo test -p fathom-stats tables -- --ignored --nocapture`.

use super::*;

#[test]
#[ignore = "prints the tables of docs/claims.md"]
fn tables() {
    println!("seeds, claims, correlation: power paired by seed, not paired");
    for n in [3, 5, 8] {
        let gap = 2.5 * (5.0 / n as f64).sqrt();
        for (claims, correlation) in [(1, 0.21), (4, 0.0), (4, 0.21), (4, 0.5), (4, 0.9)] {
            let [seed, none] = [Pairing::Seed, Pairing::None]
                .map(|pairing| power(pairing, n, claims, gap, 1.0, correlation));
            println!("{n} {claims} {correlation} {gap:.2}: {seed:.2} {none:.2}");
        }
    }
    println!("false support without pairing: seeds, spread");
    for (n, spread) in [(3, 1.0), (3, 3.0), (3, 10.0), (5, 3.0), (5, 10.0), (8, 3.0)] {
        println!("{n} {spread}: {:.4}", power(Pairing::None, n, 1, 0.0, spread, 0.0));
    }
    println!("power of a rank claim at 0.5: seeds, claims, gap in deviations");
    for (n, claims, gap) in [(3, 1, 4.0), (5, 1, 2.5), (5, 4, 2.5), (8, 4, 2.0), (5, 1, 0.0)] {
        for spread in [1.0, 5.0] {
            let found = share(SWEEPS, |normal| {
                let values = pairs(normal, n, gap, spread, 0.0);
                let sample = sample_of(Effect::Rank, Pairing::None, &values);
                let region = Region { low: Some(0.5), high: None };
                sample.outcome(&region, LEVEL / claims as f64) == Outcome::Supported
            });
            println!("{n} {claims} {gap} spread {spread}: {found:.3}");
        }
    }
    println!("rank claim at 0.8 whose true probability is 0.8: seeds");
    for n in [5, 8, 12, 20] {
        let found = share(SWEEPS, |normal| {
            // Φ(gap/√2) = 0.8.
            let values = pairs(normal, n, 1.190_2, 1.0, 0.0);
            let sample = sample_of(Effect::Rank, Pairing::None, &values);
            let region = Region { low: Some(0.8), high: None };
            sample.outcome(&region, LEVEL) == Outcome::Supported
        });
        println!("{n}: {found:.4}");
    }
    println!("looks 3, 5, 8, 12: gap, power, mean number of seeds");
    let looks = [3, 5, 8, 12];
    for (name, levels) in [
        ("obf", spent(LEVEL, &looks)),
        ("pocock", pocock(LEVEL, &looks)),
        ("equal", vec![LEVEL / 4.0; 4]),
    ] {
        for gap in [0.75, 1.0, 2.0, 5.0, 20.0] {
            let mut seeds = 0;
            let found = share(SWEEPS, |normal| {
                let values = pairs(normal, 12, gap, 1.0, 0.0);
                let samples =
                    looks.iter().map(|n| sample_of(Effect::Mean, Pairing::Seed, &values[..*n]));
                let look = sequential(samples.collect(), &levels, &ABOVE_0).unwrap();
                seeds += look.sample.n;
                look.outcome == Outcome::Supported
            });
            println!("{name} {gap}: {found:.2} {:.1}", seeds as f64 / f64::from(SWEEPS));
        }
    }
}

/// Spending of Pocock's type.
fn pocock(level: f64, looks: &[usize]) -> Vec<f64> {
    let last = looks[looks.len() - 1] as f64;
    let up_to = |n: f64| level * (1.0 + (std::f64::consts::E - 1.0) * n / last).ln();
    let before = std::iter::once(0.0).chain(looks.iter().map(|n| *n as f64));
    looks.iter().zip(before).map(|(n, before)| up_to(*n as f64) - up_to(before)).collect()
}
