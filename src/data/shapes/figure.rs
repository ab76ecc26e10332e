//! The ten kinds of figures as implicit functions: negative inside, positive outside, and approximately the
//! distance to the edge near it.

/// Names of the classes, in the order of their labels.
pub const CLASSES: [&str; 10] = [
    "disc", "ring", "square", "frame", "triangle", "cross", "tee", "crescent", "stripes", "checks",
];

/// Signed distance from (`x`, `y`) to the figure of class `label`, which is about as large as the unit disc.
///
/// Disc, ring and stripes have the same outline, and so have square, frame and checks; cross and tee consist
/// of the same two bars. Classes differ in the arrangement of parts, not in single pixels.
/// No feature is thinner than 0.34, which is 1.3 pixels for the smallest figure at 12×12.
pub fn distance(label: usize, x: f32, y: f32) -> f32 {
    match label {
        0 => disc(x, y, 0.95),
        1 => disc(x, y, 1.0).max(-disc(x, y, 0.55)),
        2 => bar(x, y, 0.82, 0.82),
        3 => bar(x, y, 0.9, 0.9).max(-bar(x, y, 0.5, 0.5)),
        4 => triangle(x, y),
        5 => bar(x, y, 1.05, 0.27).min(bar(x, y, 0.27, 1.05)),
        6 => bar(x, y - 0.68, 0.95, 0.27).min(bar(x, y + 0.05, 0.27, 0.95)),
        7 => disc(x, y, 1.05).max(-disc(x - 0.5, y, 0.8)),
        8 => disc(x, y, 1.05).max(x.abs().min((x.abs() - 0.75).abs()) - 0.2),
        _ => bar(x, y, 0.95, 0.95).max(quadrants(x, y)),
    }
}

fn disc(x: f32, y: f32, radius: f32) -> f32 {
    (x * x + y * y).sqrt() - radius
}

/// A rectangle with edges along the axes. Outside its corners the value is less than the distance, so that
/// the corners are sharp.
fn bar(x: f32, y: f32, half_width: f32, half_height: f32) -> f32 {
    (x.abs() - half_width).max(y.abs() - half_height)
}

/// An equilateral triangle: the intersection of three half planes.
fn triangle(x: f32, y: f32) -> f32 {
    let slanted = x.abs() * 0.866_025_4 + y * 0.5;
    slanted.max(-y) - 0.6
}

/// The two quadrants in which `x` and `y` have the same sign.
fn quadrants(x: f32, y: f32) -> f32 {
    let nearest = x.abs().min(y.abs());
    if x * y > 0.0 { -nearest } else { nearest }
}
