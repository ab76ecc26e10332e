use super::*;
use fathom_base::random::Purpose;
use serde::Deserialize;

const SIDES: Sides = Sides { height: 45, width: 60 };

/// The picture that `scripts/crop_fixtures.py` crops.
fn picture() -> Vec<u8> {
    let Sides { height, width } = SIDES;
    let mut pixels = Vec::new();
    for row in 0..height {
        for column in 0..width {
            let value = row * 7 + column * 13 + row * column;
            pixels.extend((0..3).map(|channel| ((value + 50 * channel) % 256) as u8));
        }
    }
    pixels
}

#[derive(Deserialize)]
struct Made {
    height: usize,
    width: usize,
    pixels: Vec<u8>,
}

#[derive(Deserialize)]
struct Crop {
    window: [usize; 4],
    #[serde(flatten)]
    made: Made,
}

#[derive(Deserialize)]
struct Fixture {
    crops: Vec<Crop>,
    mean_area_of_random_crops: f64,
    resized: Made,
    middle: Made,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../../../tests/fixtures/crops.json")).unwrap()
}

/// The largest difference between corresponding values.
fn apart(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or_default()
}

#[test]
fn crops_are_torchvision_s_to_a_step_of_256() {
    let fixture = fixture();
    for Crop { window: [top, left, height, width], made } in &fixture.crops {
        let window = Window { top: *top, left: *left, height: *height, width: *width };
        assert_eq!((made.height, made.width), (12, 12));
        let ours = resized(&picture(), SIDES.width, window, 12);
        assert!(apart(&ours, &made.pixels) <= 1, "{window:?}: {}", apart(&ours, &made.pixels));
    }
    let Made { height, width, pixels } = &fixture.resized;
    let sides = Sides { height: *height, width: *width };
    assert_eq!(shorter_side(SIDES, 16), sides);
    assert!(apart(&bilinear(&picture(), SIDES, sides), pixels) <= 1);
    let window = Window::centre(SIDES, 12);
    assert_eq!(cut(&picture(), SIDES.width, window), fixture.middle.pixels);
}

#[test]
fn random_windows_lie_inside_and_have_torchvision_s_areas_and_ratios() {
    let mut stream = Stream::new(5, Purpose::Augment, 0, 0);
    let (mut areas, mut logs) = (Vec::new(), Vec::new());
    for _ in 0..20_000 {
        let Window { top, left, height, width } = Window::random(Sides::square(256), &mut stream);
        assert!(height > 0 && width > 0 && top + height <= 256 && left + width <= 256);
        areas.push((height * width) as f64 / 65_536.0);
        logs.push((width as f64 / height as f64).ln());
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    // Large areas of extreme ratios do not fit, so the mean is less than 0.54. The standard error of
    // both means, ours and torchvision's, is 0.0017.
    let theirs = fixture().mean_area_of_random_crops;
    assert!((mean(&areas) - theirs).abs() < 0.01, "{} and {theirs}", mean(&areas));
    assert!(areas.iter().all(|area| (0.075..=1.0).contains(area)));
    assert!(mean(&logs).abs() < 0.01, "{}", mean(&logs));
    let most = (4.0_f64 / 3.0).ln() + 0.03;
    assert!(logs.iter().all(|log| log.abs() < most));
}

#[test]
fn an_image_too_thin_for_any_window_gives_its_centre() {
    let mut stream = Stream::new(5, Purpose::Augment, 1, 0);
    // No window of 1 × 1000 pixels has a ratio of at most 4/3 and 8% of the area.
    let window = Window::random(Sides { height: 1, width: 1000 }, &mut stream);
    assert_eq!((window.top, window.height, window.width, window.left), (0, 1, 1, 499));
}

#[test]
fn mirroring_reverses_the_pixels_of_each_row() {
    let pixels = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    assert_eq!(mirrored(&pixels, 2), [4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9]);
}
