//! How the level of a claim is spent over its looks.

use statrs::distribution::{ContinuousCDF, Normal};

/// The level of each look at these numbers of seeds. The level that is spent up to a look is that of a
/// function of O'Brien and Fleming's type (Lan and DeMets 1983) at the share of the seeds that it sees,
/// and a look's own level is what it spends in addition. The levels add up to `level`, so the
/// probability that any look decides falsely is at most that, for every test and every dependence
/// between looks.
pub fn spent(level: f64, looks: &[usize]) -> Vec<f64> {
    let Some(last) = looks.last() else { return Vec::new() };
    let normal = Normal::standard();
    let z = normal.inverse_cdf(1.0 - level / 2.0);
    let up_to = |n: &usize| {
        let share = *n as f64 / *last as f64;
        2.0 * (1.0 - normal.cdf(z / share.sqrt()))
    };
    let mut before = 0.0;
    let own = |n: &usize| {
        let total = up_to(n);
        let own = total - before;
        before = total;
        own
    };
    looks.iter().map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_level_is_spent_and_most_of_it_late() {
        let levels = spent(0.05, &[3, 5, 8]);
        assert!((levels.iter().sum::<f64>() - 0.05).abs() < 1e-9, "{levels:?}");
        assert!(levels.is_sorted(), "{levels:?}");
        // 2(1 − Φ(1.95996/√(3/8))).
        assert!((levels[0] - 0.001_371).abs() < 2e-6, "{levels:?}");
        assert_eq!(spent(0.05, &[4]).len(), 1);
        assert!((spent(0.05, &[4])[0] - 0.05).abs() < 1e-9);
        assert!(spent(0.05, &[]).is_empty());
    }
}
