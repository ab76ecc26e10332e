//! Layouts of the bytes of an image: planes (channels × rows × columns), which batches use, and
//! interleaved pixels (rows × columns × channels), which decoders and resizers use.

pub use fathom_resize::Sides;

/// Writes interleaved `pixels` of so many channels as planes to `out`, which has the same length.
pub fn write_planes(pixels: &[u8], channels: usize, out: &mut [u8]) {
    let size = (pixels.len() / channels).max(1);
    for (channel, plane) in out.chunks_exact_mut(size).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(pixels.chunks_exact(channels)) {
            *value = pixel[channel];
        }
    }
}

/// Interleaved pixels of so many channels as planes.
pub fn planes(pixels: &[u8], channels: usize) -> Vec<u8> {
    let mut out = vec![0; pixels.len()];
    write_planes(pixels, channels, &mut out);
    out
}

/// Planes of so many channels as interleaved pixels.
pub fn interleaved(planes: &[u8], channels: usize) -> Vec<u8> {
    let size = planes.len() / channels;
    let pixel = |at: usize| (0..channels).map(move |channel| planes[channel * size + at]);
    (0..size).flat_map(pixel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_and_interleaved_pixels_are_inverse() {
        assert_eq!(planes(&[1, 2, 3, 4, 5, 6], 3), [1, 4, 2, 5, 3, 6]);
        assert_eq!(interleaved(&[1, 4, 2, 5, 3, 6], 3), [1, 2, 3, 4, 5, 6]);
        assert_eq!((planes(&[7, 8], 1), interleaved(&[7, 8], 1)), (vec![7, 8], vec![7, 8]));
        assert!(planes(&[], 3).is_empty());
    }
}
