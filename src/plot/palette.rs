//! Colours that people with colour-vision deficiencies can tell apart.

use plotters::style::RGBColor;

/// Okabe and Ito's colours without black and yellow: for what has no order.
const WORDS: [RGBColor; 6] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

/// The scale `plasma`, from its dark end to where it would be too pale on white: for what has an
/// order. It is ordered in lightness too, so it survives a black-and-white printer.
const SCALE: [RGBColor; 5] = [
    RGBColor(13, 8, 135),
    RGBColor(106, 0, 168),
    RGBColor(177, 42, 144),
    RGBColor(225, 100, 98),
    RGBColor(252, 166, 54),
];

/// The colour of the `index`-th of `count` values without order.
pub(super) fn of_word(index: usize) -> RGBColor {
    WORDS[index % WORDS.len()]
}

/// The colour of the `index`-th of `count` ordered values: the deeper, the darker.
pub(super) fn of_rank(index: usize, count: usize) -> RGBColor {
    let last = SCALE.len() - 1;
    if count < 2 {
        return SCALE[0];
    }
    let place = (count - 1 - index.min(count - 1)) as f64 / (count - 1) as f64 * last as f64;
    let left = (place as usize).min(last - 1);
    let share = place - left as f64;
    let (a, b) = (SCALE[left], SCALE[left + 1]);
    let blend = |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(blend(a.0, b.0), blend(a.1, b.1), blend(a.2, b.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_runs_from_pale_to_dark_without_repeating() {
        for count in 1..9 {
            let colours: Vec<RGBColor> = (0..count).map(|index| of_rank(index, count)).collect();
            assert_eq!(colours[count - 1], SCALE[0]);
            for pair in colours.windows(2) {
                assert_ne!(pair[0], pair[1]);
            }
        }
    }
}
