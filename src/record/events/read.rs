//! Reads the scalars of TensorBoard's event files, as `tensorboard`, `tensorboardX`, PyTorch and
//! TensorFlow write them.

use super::{FIXED_32, FIXED_64, LENGTH, VARINT, masked};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::Path;

/// The scalars of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scalars {
    /// Number of the step.
    pub step: u64,
    /// Values by tag.
    pub values: BTreeMap<String, f64>,
}

/// Whether a file begins as an event file does: with a length and its checksum.
pub fn is_event_file(bytes: &[u8]) -> bool {
    bytes.len() >= 12 && bytes[8..12] == masked(&bytes[..8]).to_le_bytes()
}

/// Reads the scalars in the order of the file; successive ones of one step are joined. An incomplete
/// last record, as of a program that still writes, is left out.
///
/// # Errors
/// When the file cannot be read, or a checksum is wrong, with the offset.
pub fn read_events(path: &Path) -> Result<Vec<Scalars>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut steps: Vec<Scalars> = Vec::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 12) {
        let place = || format!("{}: offset {at}", path.display());
        ensure!(is_event_file(head), "{}: not a record of an event file", place());
        let length = usize::try_from(u64_of(&head[..8])).with_context(place)?;
        let Some(end) = (at + 12).checked_add(length).filter(|end| end + 4 <= bytes.len()) else {
            break;
        };
        let data = &bytes[at + 12..end];
        let is_sound = bytes[end..end + 4] == masked(data).to_le_bytes();
        ensure!(is_sound, "{}: the checksum of the record is wrong", place());
        let event = event(data).with_context(place)?;
        if !event.values.is_empty() {
            match steps.last_mut() {
                Some(last)
                    if last.step == event.step
                        && !event.values.keys().any(|tag| last.values.contains_key(tag)) =>
                {
                    last.values.extend(event.values);
                }
                Some(_) | None => steps.push(event),
            }
        }
        at = end + 4;
    }
    Ok(steps)
}

fn u64_of(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// The content of a field.
enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Four([u8; 4]),
    Eight([u8; 8]),
}

/// The fields of a message, with their numbers.
fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Content<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let content = match (key & 7) as u8 {
            VARINT => Content::Number(varint(&mut bytes)?),
            FIXED_64 => Content::Eight(take(&mut bytes, 8)?.try_into()?),
            LENGTH => {
                let length = usize::try_from(varint(&mut bytes)?)?;
                Content::Bytes(take(&mut bytes, length)?)
            }
            FIXED_32 => Content::Four(take(&mut bytes, 4)?.try_into()?),
            other => bail!("a field has the wire type {other}"),
        };
        fields.push((key >> 3, content));
    }
    Ok(fields)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count).context("a field is cut off")?;
    *bytes = rest;
    Ok(taken)
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    bail!("a number has more than ten bytes")
}

/// The scalars of an `Event`.
fn event(data: &[u8]) -> Result<Scalars> {
    let mut event = Scalars::default();
    for field in fields(data)? {
        match field {
            (2, Content::Number(step)) => event.step = step,
            (5, Content::Bytes(summary)) => {
                for field in fields(summary)? {
                    if let (1, Content::Bytes(value)) = field
                        && let Some((tag, value)) = scalar(value)?
                    {
                        event.values.insert(tag, value);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(event)
}

/// Tag and number of a `Summary.Value`; nothing where it is no scalar, such as text or an image.
fn scalar(data: &[u8]) -> Result<Option<(String, f64)>> {
    let (mut tag, mut value) = (String::new(), None);
    for field in fields(data)? {
        match field {
            (1, Content::Bytes(name)) => tag = String::from_utf8_lossy(name).into_owned(),
            (2, Content::Four(bytes)) => value = Some(widened(f32::from_le_bytes(bytes))),
            (8, Content::Bytes(tensor)) => value = tensor_scalar(tensor)?,
            _ => {}
        }
    }
    Ok(value.map(|value| (tag, value)))
}

/// Numbers of the types of a `TensorProto`.
const FLOAT: u64 = 1;
const DOUBLE: u64 = 2;

/// The number of a `TensorProto` with one element of a floating-point type.
fn tensor_scalar(data: &[u8]) -> Result<Option<f64>> {
    let (mut kind, mut content) = (0, Vec::new());
    for field in fields(data)? {
        match field {
            (1, Content::Number(number)) => kind = number,
            // `tensor_content`, `float_val` and `double_val`, of which the last two may be packed.
            (4..=6, Content::Bytes(bytes)) => content.extend_from_slice(bytes),
            (5, Content::Four(bytes)) => content.extend_from_slice(&bytes),
            (6, Content::Eight(bytes)) => content.extend_from_slice(&bytes),
            _ => {}
        }
    }
    Ok(match (kind, &content[..]) {
        (FLOAT, bytes) => bytes.try_into().ok().map(|bytes| widened(f32::from_le_bytes(bytes))),
        (DOUBLE, bytes) => bytes.try_into().ok().map(f64::from_le_bytes),
        _ => None,
    })
}

/// The number with the fewest digits that rounds to a single-precision one: 0.1 stays 0.1.
fn widened(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| value.into())
}

#[cfg(test)]
mod tests {
    use super::super::write;
    use super::*;
    use crate::CurveRow;

    #[test]
    fn what_is_written_is_read_and_damage_is_told_with_its_offset() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let row = |step, loss| CurveRow { step, train_loss: Some(loss), ..CurveRow::default() };
        write(&path, &[row(300, 1.5), row(400, f64::NAN)]).unwrap();
        let read = read_events(&path).unwrap();
        assert_eq!((read.len(), read[0].step, read[0].values["train/loss"]), (2, 300, 1.5));
        assert!(read[1].values["train/loss"].is_nan());
        assert_eq!((widened(0.1), widened(f32::INFINITY)), (0.1, f64::INFINITY));
        let mut bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert_eq!(read_events(&path).unwrap().len(), 1, "still being written");
        let middle = bytes.len() - 10;
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let said = read_events(&path).unwrap_err().to_string();
        assert!(said.ends_with(": the checksum of the record is wrong"), "{said}");
        assert!(is_event_file(&bytes) && !is_event_file(b"step,train_err_pct\n"));
    }
}
