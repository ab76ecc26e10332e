//! Images as bytes on a device, which crops and standardises them there.

use super::placement::Placement;
use fathom_data::{Crop, Shape, Standardiser};
use tch::{Device, Kind, Tensor};

/// Crops and standardises images whose bytes are on a device.
pub struct DeviceStandardiser {
    /// Subtracted from each value (0 … 1).
    mean: Tensor,
    /// Multiplies each value after the subtraction.
    scale: Tensor,
    /// Channels, rows, columns.
    shape: [i64; 3],
    placement: Placement,
}

/// The table that [`DeviceStandardiser::cropped`] takes, on the processor: for each image its index, the position of
/// its crop (rows down, columns to the right), and whether it is mirrored. n × 4, i64.
pub fn crop_table(crops: impl Iterator<Item = (u32, Crop)>) -> Tensor {
    let rows = crops.flat_map(|(index, crop)| {
        [i64::from(index), crop.down as i64, crop.right as i64, i64::from(crop.mirrored)]
    });
    Tensor::from_slice(&rows.collect::<Vec<i64>>()).view([-1, 4])
}

impl DeviceStandardiser {
    /// Standardises images of this shape as `standardiser` does.
    pub fn new(shape: Shape, standardiser: &Standardiser, placement: Placement) -> Self {
        let (mean, scale) = standardiser.mean_and_scale();
        let [mean, scale] =
            [mean, scale].map(|values| Tensor::from_slice(values).to_device(placement.device));
        let shape = [shape.channels, shape.height, shape.width].map(|side| side as i64);
        Self { mean, scale, shape, placement }
    }

    /// The device.
    pub fn device(&self) -> Device {
        self.placement.device
    }

    /// Number of values of an image.
    pub fn values(&self) -> usize {
        self.shape.iter().product::<i64>() as usize
    }

    /// Whole images (bytes, n × values).
    pub fn plain(&self, bytes: &Tensor) -> Tensor {
        let [channels, rows, columns] = self.shape;
        let values = (bytes.to_kind(Kind::Float) / 255.0 - &self.mean) * &self.scale;
        self.placement.images(&values.view([-1, channels, rows, columns]))
    }

    /// Crops and flips the images of a [`crop_table`], among `pixels` (bytes, images × values), with one gather: each
    /// value of a crop is one value of all images, or zero where the crop extends into `pad` pixels of padding.
    pub fn cropped(&self, pixels: &Tensor, table: &Tensor, pad: i64) -> Tensor {
        let _guard = tch::no_grad_guard();
        let device = self.placement.device;
        let [channels, rows, columns] = self.shape;
        let n = table.size()[0];
        let [indices, down, right, mirrored] = [0, 1, 2, 3].map(|at| table.narrow(1, at, 1));
        let line = |side: i64| Tensor::arange(side, (Kind::Int64, device)).view([1, side]);
        let row = line(rows) + down - pad;
        // A flip replaces column c by column (columns − 1 − c).
        let straight = line(columns);
        let flipped: Tensor = (columns - 1) - &straight;
        let across = &straight + mirrored * (flipped - &straight) + right - pad;
        let inside = |at: &Tensor, side: i64| at.ge(0).logical_and(&at.lt(side));
        let valid = inside(&row, rows)
            .view([n, 1, rows, 1])
            .logical_and(&inside(&across, columns).view([n, 1, 1, columns]));
        let within = row.clamp(0, rows - 1).view([n, 1, rows, 1]) * columns
            + across.clamp(0, columns - 1).view([n, 1, 1, columns]);
        let channel = Tensor::arange(channels, (Kind::Int64, device)).view([1, channels, 1, 1]);
        let value = within + channel * (rows * columns);
        let image = indices.view([n, 1, 1, 1]) * (channels * rows * columns);
        let bytes = pixels.take(&(image + &value));
        let values = (bytes.to_kind(Kind::Float) / 255.0 - self.mean.take(&value))
            * self.scale.take(&value)
            * valid;
        self.placement.images(&values)
    }
}

/// Copies numbers to the device as i64.
pub fn on_device<N: Into<i64>>(numbers: impl Iterator<Item = N>, device: Device) -> Tensor {
    let numbers: Vec<i64> = numbers.map(Into::into).collect();
    Tensor::from_slice(&numbers).to_device(device)
}
