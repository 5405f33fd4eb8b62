//! safetensors: a JSON header that says where each tensor's bytes lie, then the bytes.
//!
//! ```text
//! byte  0              8                        8 + n
//!      ├──────────────┼────────────────────────┼──────────────────────────────┤
//!      │ n: u64       │ header: n bytes JSON   │ data                         │
//!      └──────────────┴────────────────────────┴──────────────────────────────┘
//! {"__metadata__": {"format": "pt"},
//!  "norm.weight": {"dtype": "F32", "shape": [64], "data_offsets": [0, 256]}, …}      offsets count from 8 + n
//! ```
//!
//! The tensors cover the data without gap or overlap. Nothing is aligned: the data begins wherever the header ends.
//!
//! A file is valid here exactly if version 0.8 of the safetensors crate accepts it, oddities included (a tensor's fields
//! as an array in this order, a later tensor of the same name replacing the earlier, blanks around the header), with one
//! limit more: names, shapes and metadata together may not take more than 24 MB of memory, which is room for some
//! 300,000 tensors.

mod json;
mod shards;

use super::TensorInfo;
use crate::{Error, ErrorKind, Result};
use json::{Cursor, Str};
use lucid_kernels::{formats::Format, map::Map};
use std::{
    ops::Range,
    path::{Path, PathBuf},
};

pub use shards::Shards;

/// The longest header there may be, in bytes.
const MAX_HEADER: u64 = 100_000_000;

/// The most memory that what is kept of a header may take, in bytes.
const MAX_TABLE: usize = 24_000_000;

/// The element types: the name in the file, bits per element, and the format of the rows where Lucid knows one.
const DTYPES: &[(&str, usize, Option<Format>)] = &[
    ("F64", 64, Some(Format::F64)),
    ("F32", 32, Some(Format::F32)),
    ("F16", 16, Some(Format::F16)),
    ("BF16", 16, Some(Format::BF16)),
    ("I64", 64, Some(Format::I64)),
    ("I32", 32, Some(Format::I32)),
    ("I16", 16, Some(Format::I16)),
    ("I8", 8, Some(Format::I8)),
    ("U64", 64, None),
    ("U32", 32, None),
    ("U16", 16, None),
    ("U8", 8, None),
    ("BOOL", 8, None),
    ("C64", 64, None),
    ("F8_E5M2", 8, None),
    ("F8_E4M3", 8, None),
    ("F8_E8M0", 8, None),
    ("F8_E4M3FNUZ", 8, None),
    ("F8_E5M2FNUZ", 8, None),
    ("F6_E2M3", 6, None),
    ("F6_E3M2", 6, None),
    ("F4", 4, None),
];

/// One .safetensors file, mapped.
#[derive(Debug)]
pub struct Safetensors {
    /// Where it lies.
    pub path: PathBuf,
    /// Its `__metadata__`, sorted by key.
    pub metadata: Vec<(String, String)>,
    table: Table,
    map: Map,
}

impl Safetensors {
    /// Maps the file at `path` and checks its whole header.
    pub fn open(path: &Path) -> Result<Self> {
        let map = Map::open(path).map_err(|e| Error::io(path, "cannot open", e))?;
        let read = Header::read(&map, &|end| map.forget(end));
        let Header { metadata, table } = read.map_err(|e| Error::file(e.kind(), path, e))?;
        Ok(Safetensors { path: path.to_path_buf(), metadata, table, map })
    }

    /// The tensors in the order of their bytes.
    pub fn tensors(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        self.table.tensors(&self.map)
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<TensorInfo<'_>> {
        self.table.tensor(&self.map, name)
    }
}

/// What a header says.
#[derive(Debug)]
pub struct Header {
    /// The texts under `__metadata__`, sorted by key.
    pub metadata: Vec<(String, String)>,
    /// The tensors.
    pub table: Table,
}

/// Where the tensors of a file lie.
#[derive(Debug, Default)]
pub struct Table {
    /// Sorted by name.
    entries: Vec<Entry>,
    /// Indices of the entries, in the order of the bytes.
    by_place: Vec<u32>,
    /// All names, one after the other.
    names: String,
    /// All shapes, one after the other.
    dims: Vec<usize>,
}

#[derive(Debug)]
struct Entry {
    name: Range<u32>,
    shape: Range<u32>,
    /// Index in [`DTYPES`].
    dtype: u8,
    /// Bytes of the file once checked; until then, of the data.
    start: usize,
    end: usize,
}

impl Header {
    /// Reads the header of a whole file in memory.
    pub fn parse(file: &[u8]) -> Result<Header> {
        Self::read(file, &|_| ())
    }

    /// The same; `passed` is told every megabyte or so how many bytes of the file have been read.
    fn read(file: &[u8], passed: &dyn Fn(usize)) -> Result<Header> {
        let Some((length, rest)) = file.split_first_chunk() else {
            return refuse(format!("{} bytes are too few for a safetensors file", file.len()));
        };
        let length = u64::from_le_bytes(*length);
        if length > MAX_HEADER {
            return refuse(format!(
                "no safetensors file: its header would be {length} bytes long, the limit is {MAX_HEADER}"
            ));
        }
        let Some((text, data)) = rest.split_at_checked(length as usize) else {
            return refuse(format!(
                "the header is {length} bytes long, but the file ends after {} of them",
                rest.len()
            ));
        };
        let passed = |end| passed(8 + end);
        let mut json =
            Cursor::new(text, &passed).or_else(|at| refuse(format!("the header is no UTF-8 from its byte {at} on")))?;

        let mut room = MAX_TABLE;
        let mut metadata = None;
        let mut table = Table::default();
        json.object(|json, key| {
            if !key.is("__metadata__") {
                let read = table.read(json, key, &mut room);
                return read.map_err(|e| Error::new(e.kind(), format!("tensor {}: {e}", key.quoted())));
            }
            if metadata.is_some() {
                return refuse("__metadata__ appears twice");
            }
            metadata = Some(read_metadata(json, &mut room)?);
            Ok(())
        })?;
        json.end()?;
        table.settle(8 + text.len(), data.len())?;
        Ok(Header { metadata: metadata.unwrap_or_default(), table })
    }
}

fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::new(ErrorKind::Structure, why))
}

/// Takes what is about to be kept from what may still be kept.
fn spend(room: &mut usize, bytes: usize) -> Result<()> {
    match room.checked_sub(bytes) {
        Some(left) => *room = left,
        None => {
            let most = MAX_TABLE / 1_000_000;
            let why = format!("not supported: it names more tensors, dimensions and metadata than fit {most} MB");
            return Err(Error::new(ErrorKind::Unsupported, why));
        }
    }
    Ok(())
}

/// `null`, or an object of strings; a later text of the same key replaces the earlier.
fn read_metadata(json: &mut Cursor, room: &mut usize) -> Result<Vec<(String, String)>> {
    let mut metadata: Vec<(String, String)> = Vec::new();
    if json.peek() == Some(b'n') {
        json.word("null")?;
        return Ok(metadata);
    }
    json.object(|json, key| {
        let value = json.string()?;
        // Two strings of three words each, and what the allocator adds.
        spend(room, key.size() + value.size() + 2 * 40)?;
        metadata.push((key.chars().collect(), value.chars().collect()));
        Ok(())
    })
    .map_err(|e| Error::new(e.kind(), format!("__metadata__: {e}")))?;
    metadata.reverse();
    metadata.sort_by(|a, b| a.0.cmp(&b.0));
    metadata.dedup_by(|earlier, later| earlier.0 == later.0);
    Ok(metadata)
}

impl Table {
    /// The tensors in the order of their bytes. `file` is what the table was read from.
    pub fn tensors<'f>(&'f self, file: &'f [u8]) -> impl Iterator<Item = TensorInfo<'f>> {
        self.by_place.iter().map(|&i| self.info(file, &self.entries[i as usize]))
    }

    /// The tensor of this name. `file` is what the table was read from.
    pub fn tensor<'f>(&'f self, file: &'f [u8], name: &str) -> Option<TensorInfo<'f>> {
        let i = self.entries.binary_search_by(|e| self.name(e).cmp(name)).ok()?;
        Some(self.info(file, &self.entries[i]))
    }

    fn name(&self, entry: &Entry) -> &str {
        &self.names[entry.name.start as usize..entry.name.end as usize]
    }

    fn shape(&self, entry: &Entry) -> &[usize] {
        &self.dims[entry.shape.start as usize..entry.shape.end as usize]
    }

    fn info<'f>(&'f self, file: &'f [u8], entry: &Entry) -> TensorInfo<'f> {
        let (type_name, _, format) = DTYPES[entry.dtype as usize];
        TensorInfo {
            name: self.name(entry),
            shape: self.shape(entry),
            type_name,
            format,
            bytes: &file[entry.start..entry.end],
        }
    }

    /// Reads one tensor's `{"dtype": …, "shape": …, "data_offsets": …}`, or the same as an array in this order.
    fn read(&mut self, json: &mut Cursor, key: Str, room: &mut usize) -> Result<()> {
        let (mut dtype, mut shape, mut place) = (None, None, None);
        let mut field = |json: &mut Cursor, number| {
            let repeated = match number {
                0 => dtype.replace(read_dtype(json)?).is_some(),
                1 => shape.replace(read_shape(json, &mut self.dims, room)?).is_some(),
                2 => place.replace(read_place(json)?).is_some(),
                _ => return refuse("an array of more than a dtype, a shape and data_offsets"),
            };
            if repeated { refuse("its dtype, shape or data_offsets appear twice") } else { Ok(()) }
        };
        if json.peek() == Some(b'[') {
            let mut number = 0;
            json.array(|json| {
                number += 1;
                field(json, number - 1)
            })?;
        } else {
            json.object(|json, key| match ["dtype", "shape", "data_offsets"].iter().position(|f| key.is(f)) {
                Some(number) => field(json, number),
                None => json.skip(),
            })?;
        }
        let (Some(dtype), Some(shape), Some((start, end))) = (dtype, shape, place) else {
            return refuse("it lacks a dtype, a shape or data_offsets");
        };

        spend(room, key.size() + size_of::<Entry>() + size_of::<u32>())?;
        let name = self.names.len() as u32;
        self.names.extend(key.chars());
        self.entries.push(Entry { name: name..self.names.len() as u32, shape, dtype, start, end });
        Ok(())
    }

    /// Sorts the entries and checks that they cover the data, which is `data_len` bytes from byte `data_start` of the file.
    fn settle(&mut self, data_start: usize, data_len: usize) -> Result<()> {
        // The sort is stable: of several tensors of one name, the last in the header comes first and stays.
        let mut entries = std::mem::take(&mut self.entries);
        entries.reverse();
        entries.sort_by(|a, b| self.name(a).cmp(self.name(b)));
        entries.dedup_by(|earlier, later| self.name(earlier) == self.name(later));
        self.by_place = (0..entries.len() as u32).collect();
        self.by_place.sort_by_key(|&i| (entries[i as usize].start, entries[i as usize].end));

        let mut covered = 0;
        for &i in &self.by_place {
            let entry = &mut entries[i as usize];
            let (type_name, bits, _) = DTYPES[entry.dtype as usize];
            let blame = |why: String| refuse(format!("tensor {}: {why}", super::quoted(self.name(entry))));
            if entry.start != covered {
                return blame(format!(
                    "its data begins at byte {}, but that of the tensors before it ends at byte {covered}",
                    entry.start
                ));
            }
            let shape = self.shape(entry);
            // In this order: a zero after two dimensions whose product does not fit comes too late.
            let values = shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
            let Some(bits) = values.and_then(|n| n.checked_mul(bits)) else {
                return blame(format!("{type_name} of shape {} does not fit the address space", super::shown(shape)));
            };
            if !bits.is_multiple_of(8) {
                return blame(format!("{type_name} of shape {} does not fill whole bytes", super::shown(shape)));
            }
            if entry.end.checked_sub(entry.start) != Some(bits / 8) {
                return blame(format!(
                    "{type_name} of shape {} takes {} bytes, its data_offsets are {} and {}",
                    super::shown(shape),
                    bits / 8,
                    entry.start,
                    entry.end,
                ));
            }
            if entry.end > data_len {
                return blame(format!(
                    "its data ends at byte {}, but the file holds {data_len} bytes of data",
                    entry.end
                ));
            }
            covered = entry.end;
            entry.start += data_start;
            entry.end += data_start;
        }
        if covered != data_len {
            return refuse(format!("the tensors take {covered} bytes, but the file holds {data_len} bytes of data"));
        }
        self.entries = entries;
        Ok(())
    }
}

/// A name, or an object with the name as its only key and `null` beside it.
fn read_dtype(json: &mut Cursor) -> Result<u8> {
    let known = |name: Str| match DTYPES.iter().position(|(known, ..)| name.is(known)) {
        Some(i) => Ok(i as u8),
        None => refuse(format!("unknown dtype {}", name.quoted())),
    };
    if json.peek() != Some(b'{') {
        return known(json.string()?);
    }
    let mut dtype = None;
    json.object(|json, name| {
        if dtype.replace(known(name)?).is_some() {
            return refuse("two dtypes");
        }
        json.word("null")
    })?;
    dtype.ok_or_else(|| Error::new(ErrorKind::Structure, "no dtype"))
}

fn read_shape(json: &mut Cursor, dims: &mut Vec<usize>, room: &mut usize) -> Result<Range<u32>> {
    let start = dims.len() as u32;
    json.array(|json| {
        spend(room, size_of::<usize>())?;
        dims.push(json.size()?);
        Ok(())
    })?;
    Ok(start..dims.len() as u32)
}

fn read_place(json: &mut Cursor) -> Result<(usize, usize)> {
    let (mut place, mut count) = ([0; 2], 0);
    json.array(|json| {
        if count == 2 {
            return refuse("more than two data_offsets");
        }
        place[count] = json.size()?;
        count += 1;
        Ok(())
    })?;
    if count < 2 { refuse("fewer than two data_offsets") } else { Ok((place[0], place[1])) }
}
