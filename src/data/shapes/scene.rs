//! One image: a figure at a random position, with clutter, a background gradient and noise.
//!
//! Lengths are fractions of the image's side, so a scene is the same at every size.

use super::figure;
use fathom_base::random::Stream;

/// Values of the three channels, in grey levels.
type Colour = [f32; 3];

/// A thick line with round ends, which is a dot if it is short.
struct Stroke {
    start: [f32; 2],
    along: [f32; 2],
    half_width: f32,
    colour: Colour,
    in_front: bool,
}

/// The contents of an image, and the amplitude of its noise.
pub struct Scene {
    label: usize,
    centre: [f32; 2],
    /// Matrix from coordinates of the image to coordinates of the figure, row by row.
    to_figure: [f32; 4],
    scale: f32,
    figure: Colour,
    background: Colour,
    gradient: [Colour; 2],
    strokes: Vec<Stroke>,
    noise: f32,
}

impl Scene {
    /// Draws a scene of class `label`. Grey scenes consume the same random numbers as coloured scenes, so
    /// that both have the same contents.
    pub fn new(random: &mut Stream, label: usize, colour: bool) -> Self {
        let saturation = if colour { 45.0 } else { 0.0 };
        let brightness = random.between(95.0, 160.0);
        let background = tint(random, brightness, saturation);
        // Half of the figures are darker than the background. A weighted sum of pixels changes its sign
        // between a figure and its negative, so a linear classifier fails.
        let contrast = random.between(36.0, 90.0) * sign(random);
        let figure = tint(random, brightness + contrast, saturation);
        let gradient = [(); 2].map(|()| tint(random, 0.0, saturation).map(|part| part * 0.5));
        let slopes = [random.between(-40.0, 40.0), random.between(-40.0, 40.0)];
        let gradient = [0, 1].map(|axis| gradient[axis].map(|part| part + slopes[axis]));

        let scale = random.between(0.29, 0.42);
        // A tenth of the figure's radius may be outside the image.
        let room = 0.5 - 0.9 * scale;
        let centre = [0.5 + random.between(-room, room), 0.5 + random.between(-room, room)];
        let angle = 2.0 * std::f64::consts::PI * f64::from(random.uniform());
        let (sin, cos) = (libm::sin(angle) as f32, libm::cos(angle) as f32);
        let stretch = random.between(0.87, 1.15);
        let (wide, high) = (scale * stretch, scale / stretch);
        let to_figure = [cos / wide, sin / wide, -sin / high, cos / high];

        let strokes = (0..random.below(5)).map(|_| Stroke::new(random, brightness, saturation));
        let strokes = strokes.collect();
        let noise = random.between(3.0, 20.0);
        Self { label, centre, to_figure, scale, figure, background, gradient, strokes, noise }
    }

    /// Paints the scene at `size`×`size` pixels as planes to `out`, which has 1 or 3 channels. The noise
    /// consumes the rest of the stream.
    pub fn paint(&self, random: &mut Stream, size: usize, out: &mut [u8]) {
        let plane = size * size;
        let step = 1.0 / size as f32;
        for (row, y) in (0..size).map(|row| (row, (row as f32 + 0.5) * step)) {
            for (column, x) in (0..size).map(|column| (column, (column as f32 + 0.5) * step)) {
                let colour = self.colour(x, y, size as f32);
                for (value, part) in
                    out[row * size + column..].iter_mut().step_by(plane).zip(colour)
                {
                    let noisy = part + self.noise * bell(random.word());
                    *value = (noisy.clamp(0.0, 255.0) + 0.5) as u8;
                }
            }
        }
    }

    fn colour(&self, x: f32, y: f32, size: f32) -> Colour {
        let [across, down] = [x - 0.5, y - 0.5];
        let mut colour = [0, 1, 2].map(|channel| {
            self.background[channel]
                + self.gradient[0][channel] * across
                + self.gradient[1][channel] * down
        });
        for stroke in self.strokes.iter().filter(|stroke| !stroke.in_front) {
            cover(&mut colour, &stroke.colour, stroke.distance(x, y) * size);
        }
        let [x_from, y_from] = [x - self.centre[0], y - self.centre[1]];
        let [a, b, c, d] = self.to_figure;
        let distance =
            figure::distance(self.label, a * x_from + b * y_from, c * x_from + d * y_from);
        cover(&mut colour, &self.figure, distance * self.scale * size);
        for stroke in self.strokes.iter().filter(|stroke| stroke.in_front) {
            cover(&mut colour, &stroke.colour, stroke.distance(x, y) * size);
        }
        colour
    }
}

impl Stroke {
    fn new(random: &mut Stream, brightness: f32, saturation: f32) -> Self {
        let start = [random.uniform(), random.uniform()];
        let angle = 2.0 * std::f64::consts::PI * f64::from(random.uniform());
        let dot = random.below(2) == 0;
        let (length, half_width) = if dot {
            (random.between(0.01, 0.06), random.between(0.03, 0.07))
        } else {
            (random.between(0.25, 0.7), random.between(0.012, 0.03))
        };
        let along = [libm::cos(angle) as f32 * length, libm::sin(angle) as f32 * length];
        let contrast = random.between(20.0, 80.0) * sign(random);
        let colour = tint(random, brightness + contrast, saturation);
        Self { start, along, half_width, colour, in_front: random.below(3) == 0 }
    }

    fn distance(&self, x: f32, y: f32) -> f32 {
        let [across, down] = [x - self.start[0], y - self.start[1]];
        let [dx, dy] = self.along;
        let share = ((across * dx + down * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
        let [across, down] = [across - share * dx, down - share * dy];
        (across * across + down * down).sqrt() - self.half_width
    }
}

/// Paints `over` on `under` where `distance`, in pixels, is negative, with an edge one pixel wide.
fn cover(under: &mut Colour, over: &Colour, distance: f32) {
    let share = (0.5 - distance).clamp(0.0, 1.0);
    if share > 0.0 {
        for (under, over) in under.iter_mut().zip(over) {
            *under += (over - *under) * share;
        }
    }
}

/// A random colour of the given brightness, the mean of its channels.
fn tint(random: &mut Stream, brightness: f32, saturation: f32) -> Colour {
    let parts = [(); 3].map(|()| random.between(-saturation, saturation));
    let mean = (parts[0] + parts[1] + parts[2]) / 3.0;
    parts.map(|part| brightness + part - mean)
}

fn sign(random: &mut Stream) -> f32 {
    if random.below(2) == 0 { -1.0 } else { 1.0 }
}

/// The standardised sum of the four bytes of a uniform word: an approximation of a normal number that is
/// many times faster.
fn bell(word: u32) -> f32 {
    let sum: i32 = word.to_le_bytes().into_iter().map(i32::from).sum();
    (sum - 510) as f32 * (1.0 / 147.8)
}
