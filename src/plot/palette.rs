//! Colours that people with colour-vision deficiencies can distinguish.

use plotters::style::RGBColor;

/// Okabe and Ito's colours without black and yellow, for values without an order.
const CATEGORIES: [RGBColor; 6] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

/// The scale `plasma` without its pale end, for values with an order. Its lightness is monotonic, so
/// the order survives a black-and-white printer.
const SCALE: [RGBColor; 5] = [
    RGBColor(13, 8, 135),
    RGBColor(106, 0, 168),
    RGBColor(177, 42, 144),
    RGBColor(225, 100, 98),
    RGBColor(252, 166, 54),
];

/// Colour of the `index`-th value without an order.
pub(super) fn of_category(index: usize) -> RGBColor {
    CATEGORIES[index % CATEGORIES.len()]
}

/// Colour of the `index`-th of `count` ordered values. Later values are darker.
pub(super) fn of_rank(index: usize, count: usize) -> RGBColor {
    let last = SCALE.len() - 1;
    if count < 2 {
        return SCALE[0];
    }
    let place = (count - 1 - index.min(count - 1)) as f64 / (count - 1) as f64 * last as f64;
    let left = (place as usize).min(last - 1);
    blend(SCALE[left], SCALE[left + 1], place - left as f64)
}

/// Colour of the `index`-th of some values: ordered if all are numbers.
pub(super) fn of_value<T: AsRef<str>>(index: usize, values: &[T]) -> RGBColor {
    let is_number = |value: &T| value.as_ref().parse::<f64>().is_ok();
    if values.iter().all(is_number) { of_rank(index, values.len()) } else { of_category(index) }
}

/// Colour between two others: `a` at share 0, `b` at share 1.
pub(super) fn blend(a: RGBColor, b: RGBColor, share: f64) -> RGBColor {
    let mix = |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ordered_scale_runs_from_pale_to_dark_without_repeating() {
        for count in 1..9 {
            let colours: Vec<RGBColor> = (0..count).map(|index| of_rank(index, count)).collect();
            assert_eq!(colours[count - 1], SCALE[0]);
            let lightness = |c: &RGBColor| 2 * u32::from(c.0) + 5 * u32::from(c.1) + u32::from(c.2);
            assert!(colours.is_sorted_by(|a, b| lightness(a) > lightness(b)), "{colours:?}");
        }
    }
}
