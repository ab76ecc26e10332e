//! Images of equal shape in memory.

/// Channels, rows and columns of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Number of channels: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

impl Shape {
    /// Number of values of one image.
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether an image of this shape has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Images of equal shape with their labels.
#[derive(Clone, Debug)]
pub struct Images {
    /// Shape of every image.
    pub shape: Shape,
    /// `labels.len()` × channels × height × width bytes, in this order.
    pub pixels: Vec<u8>,
    /// Class of every image, counted from 0.
    pub labels: Vec<u16>,
}

impl Images {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The channels × height × width bytes of image `index`.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.shape.len();
        &self.pixels[index * size..(index + 1) * size]
    }

    /// The images at `indices`, in this order.
    pub fn select(&self, indices: &[u32]) -> Images {
        let mut pixels = Vec::with_capacity(indices.len() * self.shape.len());
        indices.iter().for_each(|i| pixels.extend_from_slice(self.image(*i as usize)));
        let labels = indices.iter().map(|i| self.labels[*i as usize]).collect();
        Images { shape: self.shape, pixels, labels }
    }
}
