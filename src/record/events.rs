//! TensorBoard's event files: records of length, data and their checksums (TFRecord), each an
//! `Event` of `event.proto` with one `Summary` of scalars.

mod read;

use super::{CurveRow, METRICS};
use anyhow::Result;
use fathom_base::write_atomically;
use std::path::Path;

pub(super) use read::{Scalars, is_event_file, read_events};

/// The tag of the learning rate.
const LR: &str = "train/lr";

/// Writes the curve of a run as one event file; an extra column is its own tag. Wall time counts from
/// the start of the run, whose date no file holds.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, rows: &[CurveRow]) -> Result<()> {
    let mut bytes = record(&event(0.0, 0, &text(3, "brain.Event:2")));
    for row in rows {
        let mut summary = Vec::new();
        let metrics = METRICS.iter().map(|metric| (metric.tag, metric.of(row)));
        let extra = row.extra.iter().map(|(column, value)| (column.as_str(), Some(*value)));
        for (tag, value) in metrics.chain([(LR, row.lr)]).chain(extra) {
            if let Some(value) = value {
                let mut scalar = text(1, tag);
                scalar.extend(key(2, FIXED_32));
                scalar.extend((value as f32).to_le_bytes());
                summary.extend(nested(1, &scalar));
            }
        }
        bytes.extend(record(&event(row.seconds.unwrap_or(0.0), row.step, &nested(5, &summary))));
    }
    write_atomically(path, &bytes)
}

/// Wire types of protocol buffers.
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED_32: u8 = 5;

fn event(seconds: f64, step: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = key(1, FIXED_64).collect();
    bytes.extend(seconds.to_le_bytes());
    bytes.extend(key(2, VARINT));
    bytes.extend(varint(step));
    bytes.extend(content);
    bytes
}

fn key(field: u8, wire: u8) -> impl Iterator<Item = u8> {
    std::iter::once((field << 3) | wire)
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn nested(field: u8, inside: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = key(field, LENGTH).collect();
    bytes.extend(varint(inside.len() as u64));
    bytes.extend(inside);
    bytes
}

fn text(field: u8, text: &str) -> Vec<u8> {
    nested(field, text.as_bytes())
}

/// Frames the data of one record of a TFRecord file.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked(&length).to_le_bytes());
    bytes.extend(data);
    bytes.extend(masked(data).to_le_bytes());
    bytes
}

/// The masked CRC-32C of TFRecord: rotated and shifted, as checksums of checksums are weak.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_framed_and_their_checksums_are_those_of_the_standard() {
        // CRC-32C of 32 zeros (RFC 3720, B.4) is 8a9136aa.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.out.tfevents.0.fathom");
        let row =
            CurveRow { step: 300, lr: Some(0.5), train_loss: Some(1.5), ..CurveRow::default() };
        write(&path, &[row]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (mut at, mut records) = (0, Vec::new());
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            let data = &bytes[at + 12..at + 12 + length];
            let end = at + 16 + length;
            assert_eq!(bytes[end - 4..end], masked(data).to_le_bytes());
            records.push(data.to_vec());
            at = end;
        }
        assert_eq!(records.len(), 2);
        // 300 = 0b10_0101100; two scalars of 4 bytes each.
        assert_eq!(records[1][9..12], [0x10, 0xac, 0x02]);
        let has = |part: &[u8]| records[1].windows(part.len()).any(|window| window == part);
        assert!(has(b"\x0a\x0atrain/loss\x15\x00\x00\xc0\x3f"), "{:?}", records[1]);
        assert!(has(b"\x0a\x08train/lr\x15\x00\x00\x00\x3f"));
    }
}
