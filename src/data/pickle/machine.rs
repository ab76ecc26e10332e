//! The machine that a pickle is a program for, with few of its instructions.

use crate::file_error::FileErrorKind;
use std::borrow::Cow;
use std::collections::HashMap;

/// Index of a value.
pub(super) type Id = usize;

/// A value of the pickle.
#[derive(Debug)]
pub(super) enum Item<'a> {
    None,
    Flag(bool),
    Number(i64),
    Text(Cow<'a, [u8]>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Callable(Callable),
    /// The type of an array's numbers.
    Type(Vec<u8>),
    Array {
        /// Shape, type, whether the first index changes fastest, and bytes.
        state: Option<[Id; 4]>,
    },
}

/// The names that a file of CIFAR refers to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Callable {
    Reconstruct,
    Array,
    Type,
    Encode,
}

impl Callable {
    fn named(module: &[u8], name: &[u8]) -> Option<Self> {
        Some(match (module, name) {
            (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"_reconstruct") => {
                Self::Reconstruct
            }
            (b"numpy", b"ndarray") => Self::Array,
            (b"numpy", b"dtype") => Self::Type,
            (b"_codecs", b"encode") => Self::Encode,
            _ => return None,
        })
    }
}

pub(super) type Outcome<T> = Result<T, FileErrorKind>;

pub(super) fn refused(what: impl Into<String>) -> FileErrorKind {
    FileErrorKind::Pickle(what.into())
}

/// The machine that a pickle is a program for.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    /// Offset of the current instruction.
    pub(super) start: usize,
    at: usize,
    pub(super) items: Vec<Item<'a>>,
    stack: Vec<Id>,
    /// Lengths of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let (items, stack, marks, memo) = (Vec::new(), Vec::new(), Vec::new(), HashMap::new());
        Self { bytes, start: 0, at: 0, items, stack, marks, memo }
    }

    /// Follows the instructions to the end, and returns the result.
    pub(super) fn run(&mut self) -> Outcome<Id> {
        loop {
            self.start = self.at;
            let code = self.take(1)?[0];
            match code {
                b'.' => return self.pop(),
                // The version of the protocol and the length of a frame.
                0x80 => self.skip(1)?,
                0x95 => self.skip(8)?,
                b'N' => self.push(Item::None),
                0x88 | 0x89 => self.push(Item::Flag(code == 0x88)),
                b'K' => self.number(1)?,
                b'M' => self.number(2)?,
                b'J' => {
                    let four = self.take(4)?;
                    let value = i32::from_le_bytes(four.try_into().unwrap_or_default());
                    self.push(Item::Number(value.into()));
                }
                0x8a => {
                    let length = self.length(1)?;
                    self.number(length)?;
                }
                // Texts and bytes, by the size of their length.
                b'U' | 0x8c | b'C' => self.text(1)?,
                b'T' | b'X' | b'B' => self.text(4)?,
                0x8d | 0x8e => self.text(8)?,
                b']' => self.push(Item::List(Vec::new())),
                b'}' => self.push(Item::Dict(Vec::new())),
                b')' => self.push(Item::Tuple(Vec::new())),
                0x85..=0x87 => {
                    let members = self.pop_many(usize::from(code - 0x84))?;
                    self.push(Item::Tuple(members));
                }
                b'(' => self.marks.push(self.stack.len()),
                b't' => {
                    let members = self.pop_to_mark()?;
                    self.push(Item::Tuple(members));
                }
                b'a' => {
                    let member = self.pop()?;
                    self.append(vec![member])?;
                }
                b'e' => {
                    let members = self.pop_to_mark()?;
                    self.append(members)?;
                }
                b's' => {
                    let pair = self.pop_many(2)?;
                    self.insert(&pair)?;
                }
                b'u' => {
                    let pairs = self.pop_to_mark()?;
                    self.insert(&pairs)?;
                }
                b'q' | b'r' => {
                    let key = self.length(if code == b'q' { 1 } else { 4 })?;
                    self.memo.insert(key, self.top()?);
                }
                0x94 => {
                    let key = self.memo.len();
                    self.memo.insert(key, self.top()?);
                }
                b'h' | b'j' => {
                    let key = self.length(if code == b'h' { 1 } else { 4 })?;
                    let known = self.memo.get(&key).copied();
                    self.stack.push(known.ok_or_else(|| refused("a value that was not stored"))?);
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.refer(module, name)?;
                }
                0x93 => {
                    let names = self.pop_many(2)?;
                    let (module, name) = (self.bytes_of(names[0])?, self.bytes_of(names[1])?);
                    let (module, name) = (module.to_vec(), name.to_vec());
                    self.refer(&module, &name)?;
                }
                b'R' => self.call()?,
                b'b' => self.set_state()?,
                _ => return Err(refused(format!("instruction {code:#04x}"))),
            }
        }
    }

    fn take(&mut self, count: usize) -> Outcome<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            self.start = self.bytes.len();
            return Err(FileErrorKind::Unfinished);
        };
        let part = &self.bytes[self.at..end];
        self.at = end;
        Ok(part)
    }

    fn skip(&mut self, count: usize) -> Outcome<()> {
        self.take(count).map(drop)
    }

    /// A length or index of so many bytes.
    fn length(&mut self, size: usize) -> Outcome<usize> {
        let bytes = self.take(size)?.iter().rev();
        let value = bytes.fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        usize::try_from(value).map_err(|_| refused("a length without bounds"))
    }

    fn number(&mut self, size: usize) -> Outcome<()> {
        if size > 4 {
            return Err(refused("a number of more than four bytes"));
        }
        let value = self.length(size)?;
        self.push(Item::Number(value as i64));
        Ok(())
    }

    fn text(&mut self, size: usize) -> Outcome<()> {
        let length = self.length(size)?;
        let text = self.take(length)?;
        self.push(Item::Text(text.into()));
        Ok(())
    }

    /// The bytes up to the end of the line.
    fn line(&mut self) -> Outcome<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = self.take(length)?;
        self.skip(1)?;
        Ok(line)
    }

    fn push(&mut self, item: Item<'a>) {
        self.stack.push(self.items.len());
        self.items.push(item);
    }

    fn top(&self) -> Outcome<Id> {
        self.stack.last().copied().ok_or_else(|| refused("an empty stack"))
    }

    fn pop(&mut self) -> Outcome<Id> {
        self.stack.pop().ok_or_else(|| refused("an empty stack"))
    }

    fn pop_many(&mut self, count: usize) -> Outcome<Vec<Id>> {
        let left = self.stack.len().checked_sub(count).ok_or_else(|| refused("an empty stack"))?;
        Ok(self.stack.split_off(left))
    }

    fn pop_to_mark(&mut self) -> Outcome<Vec<Id>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or_else(|| refused("a mark that is missing"))?))
    }

    fn append(&mut self, members: Vec<Id>) -> Outcome<()> {
        let list = self.top()?;
        let Item::List(all) = &mut self.items[list] else {
            return Err(refused("members of something other than a list"));
        };
        all.extend(members);
        Ok(())
    }

    fn insert(&mut self, members: &[Id]) -> Outcome<()> {
        let dict = self.top()?;
        let Item::Dict(all) = &mut self.items[dict] else {
            return Err(refused("members of something other than a dictionary"));
        };
        all.extend(members.as_chunks::<2>().0.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    fn refer(&mut self, module: &[u8], name: &[u8]) -> Outcome<()> {
        let callable = Callable::named(module, name).ok_or_else(|| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            refused(format!("a reference to {}.{}", text(module), text(name)))
        })?;
        self.push(Item::Callable(callable));
        Ok(())
    }

    /// What the few known callables would return.
    fn call(&mut self) -> Outcome<()> {
        let pair = self.pop_many(2)?;
        let (Item::Callable(callable), Item::Tuple(arguments)) =
            (&self.items[pair[0]], &self.items[pair[1]])
        else {
            return Err(refused("a call of something else than NumPy"));
        };
        let first =
            arguments.first().copied().ok_or_else(|| refused("a call without arguments"))?;
        let item = match callable {
            Callable::Reconstruct => Item::Array { state: None },
            Callable::Type => Item::Type(self.bytes_of(first)?.to_vec()),
            // Python 3 writes bytes as a text of as many letters, in UTF-8.
            Callable::Encode => {
                let text = std::str::from_utf8(self.bytes_of(first)?).ok();
                let bytes = text.and_then(|text| {
                    text.chars()
                        .map(|letter| u8::try_from(letter).ok())
                        .collect::<Option<Vec<u8>>>()
                });
                Item::Text(Cow::Owned(bytes.ok_or_else(|| refused("bytes that are no bytes"))?))
            }
            Callable::Array => return Err(refused("a call of numpy.ndarray")),
        };
        self.push(item);
        Ok(())
    }

    fn set_state(&mut self) -> Outcome<()> {
        let state = self.pop()?;
        let target = self.top()?;
        let Item::Tuple(members) = &self.items[state] else {
            return Err(refused("the state of something else than an array"));
        };
        let members = members.clone();
        match (&mut self.items[target], &members[..]) {
            (Item::Array { state }, [_version, shape, of, order, bytes]) => {
                *state = Some([*shape, *of, *order, *bytes]);
                Ok(())
            }
            (Item::Type(_), _) => Ok(()),
            _ => Err(refused("the state of something else than an array")),
        }
    }

    pub(super) fn bytes_of(&self, id: Id) -> Outcome<&[u8]> {
        let Item::Text(bytes) = &self.items[id] else {
            return Err(refused("something else in the place of a text"));
        };
        Ok(bytes)
    }

    pub(super) fn count(&self, id: Id) -> Outcome<usize> {
        let Item::Number(number) = &self.items[id] else {
            return Err(refused("something else in the place of a number"));
        };
        usize::try_from(*number).map_err(|_| refused("a negative length"))
    }
}
