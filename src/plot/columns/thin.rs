//! Lines of many points without those that no pixel can show.

use crate::axis::Axis;

/// Parts of the horizontal axis that can be told apart: each is about as wide as a line.
const MAX_PARTS: usize = 700;
/// Points of a whole figure, so that its SVG stays below a megabyte even if each piece between two
/// points is an element of its own.
const POINTS: usize = 8_000;

/// Number of parts of the horizontal axis of which each line keeps its extremes.
pub(super) fn budget(lines: usize) -> usize {
    (POINTS / 4 / lines.max(1)).clamp(16, MAX_PARTS)
}

/// The first, last, least and greatest point in each of `parts` equal parts of the axis; all points of
/// a line that is short. The points are in ascending order of x.
pub(super) fn thin(points: &[(f64, f64)], axis: &Axis, parts: usize) -> Vec<(f64, f64)> {
    if points.len() <= 4 * parts {
        return points.to_vec();
    }
    let part = |point: &(f64, f64)| (axis.share(point.0) * parts as f64).floor() as i64;
    let mut kept = Vec::new();
    for same in points.chunk_by(|a, b| part(a) == part(b)) {
        let by_height = |a: &usize, b: &usize| same[*a].1.total_cmp(&same[*b].1);
        let places = || 0..same.len();
        let mut few = vec![0, same.len() - 1];
        few.extend(places().min_by(by_height));
        few.extend(places().max_by(by_height));
        few.sort_unstable();
        few.dedup();
        kept.extend(few.into_iter().map(|place| same[place]));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_and_ends_of_a_long_line_are_kept() {
        let mut points: Vec<(f64, f64)> =
            (0..1_000_000).map(|x| (f64::from(x), f64::from(x % 7))).collect();
        points[123_456].1 = 50.0;
        points[654_321].1 = -9.0;
        let few = thin(&points, &Axis::from_zero(1e6), budget(1));
        assert!(few.len() <= 4 * MAX_PARTS, "{}", few.len());
        for place in [0, 123_456, 654_321, 999_999] {
            assert!(few.contains(&points[place]), "{place}");
        }
        assert!(few.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(thin(&points[..200], &Axis::from_zero(1e6), 50).len(), 200);
        assert_eq!((budget(2), budget(4), budget(1000)), (MAX_PARTS, 500, 16));
    }
}
