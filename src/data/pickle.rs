//! The files of the Python version of CIFAR: pickles of a dictionary with an array of pixels and lists of
//! labels. Nothing in a pickle is executed: its instructions are followed only as far as numbers, texts,
//! lists, tuples, dictionaries and arrays of NumPy need them, and everything else is refused. (Format:
//! docs.python.org/3/library/pickletools.html.)

mod machine;

use super::file_error::FileError;
use machine::{Id, Item, Machine, Outcome, refused};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// The fields of the dictionary that are used.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// One row for each image, in this shape.
    pub pixels: Cow<'a, [u8]>,
    /// Rows and columns of `pixels`.
    pub shape: [usize; 2],
    /// Lists of labels by name: `labels`, `fine_labels`, `coarse_labels`.
    pub labels: HashMap<String, Vec<u8>>,
}

impl<'a> Batch<'a> {
    /// Reads a pickle. `file` is used in messages only.
    ///
    /// # Errors
    /// A [`FileError`] at the first instruction that such a file does not have, or where it ends.
    pub fn parse(file: &Path, bytes: &'a [u8]) -> Result<Self, FileError> {
        let mut machine = Machine::new(bytes);
        let outcome = machine.run().and_then(|root| machine.batch(root));
        outcome.map_err(|kind| FileError::new(file, machine.start as u64, kind))
    }
}

impl<'a> Machine<'a> {
    /// The pixels and labels of the dictionary `root`.
    fn batch(&mut self, root: Id) -> Outcome<Batch<'a>> {
        let Item::Dict(fields) = &self.items[root] else {
            return Err(refused("no dictionary as its contents"));
        };
        let mut batch = Batch::default();
        let mut array = None;
        for (key, value) in fields {
            let Ok(name) = self.bytes_of(*key) else { continue };
            let name = String::from_utf8_lossy(name).into_owned();
            if name == "data" {
                array = Some(*value);
            } else if let (true, Item::List(members)) =
                (name.ends_with("labels"), &self.items[*value])
            {
                let label = |id: &Id| {
                    u8::try_from(self.count(*id)?).map_err(|_| refused("a label above 255"))
                };
                batch.labels.insert(name, members.iter().map(label).collect::<Outcome<_>>()?);
            }
        }
        let array = array.ok_or_else(|| refused("no field `data`"))?;
        (batch.shape, batch.pixels) = self.array(array)?;
        Ok(batch)
    }

    /// Shape and bytes of an array with two indices, of which the last changes fastest.
    fn array(&mut self, id: Id) -> Outcome<([usize; 2], Cow<'a, [u8]>)> {
        let no_array = || refused("no array of bytes with rows and columns in the field `data`");
        let Item::Array { state: Some([shape, of, order, bytes]) } = &self.items[id] else {
            return Err(no_array());
        };
        let (Item::Tuple(sides), Item::Type(of), Item::Flag(is_by_columns)) =
            (&self.items[*shape], &self.items[*of], &self.items[*order])
        else {
            return Err(no_array());
        };
        let ([rows, columns], b"u1" | b"|u1") = (&sides[..], &of[..]) else {
            return Err(no_array());
        };
        let (rows, columns, by_columns) =
            (self.count(*rows)?, self.count(*columns)?, *is_by_columns);
        let bytes = *bytes;
        let Item::Text(pixels) = &mut self.items[bytes] else { return Err(no_array()) };
        let pixels = std::mem::take(pixels);
        if rows.checked_mul(columns) != Some(pixels.len()) {
            return Err(refused("an array whose length is not that of its shape"));
        }
        let pixels = if by_columns {
            let pixel = |row: usize| (0..columns).map(move |column| column * rows + row);
            (0..rows).flat_map(pixel).map(|at| pixels[at]).collect::<Vec<u8>>().into()
        } else {
            pixels
        };
        Ok(([rows, columns], pixels))
    }
}

#[cfg(test)]
pub mod tests;
