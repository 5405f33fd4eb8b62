//! .npz: a zip archive of .npy files.
//!
//! ```text
//! ┌ local header ┬ name ┬ extra ┬ x.npy ┬ local header … ┬ central directory ┬ [zip64 end, its locator] ┬ end ┐
//! ```
//!
//! The end, found from behind, says where the central directory is; its entries say where the local headers are and how
//! long the files. 64-bit sizes stand in an extra field of the entry, and in a second end record. Stored files are views
//! into the mapping. Deflated ones are inflated when the archive is opened, once to check them and once to keep them.

mod write;

use super::{
    header::{Header, MAX_HEADER, refuse, unsupported},
    info,
};
use crate::{
    Error, Result,
    file::{TensorInfo, quoted},
};
use lucid_kernels::map::Map;
use miniz_oxide::{DataFormat, MZFlush, MZStatus, inflate::stream};
use std::{
    ops::Range,
    path::{Path, PathBuf},
};

pub use write::write_npz;

/// The most memory that the names and shapes of an archive may take, in bytes.
const MAX_TABLE: usize = 24_000_000;

/// The most that the deflated arrays of an archive may hold together, in bytes.
const MAX_INFLATED: usize = 256 << 20;

/// No deflated byte stands for more bytes than this.
const MAX_RATIO: usize = 1032;

/// An .npz file, mapped.
#[derive(Debug)]
pub struct Npz {
    /// Where it lies.
    pub path: PathBuf,
    archive: Archive,
    map: Map,
}

impl Npz {
    /// Maps the archive at `path` and checks every header; the bytes of stored arrays are not read.
    pub fn open(path: &Path) -> Result<Self> {
        let map = Map::open(path).map_err(|e| Error::io(path, "cannot open", e))?;
        let archive = Archive::parse(&map).map_err(|e| Error::file(e.kind(), path, e))?;
        Ok(Npz { path: path.to_path_buf(), archive, map })
    }

    /// The arrays, sorted by name.
    pub fn tensors(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        self.archive.tensors(&self.map)
    }

    /// The array of this name.
    pub fn tensor(&self, name: &str) -> Option<TensorInfo<'_>> {
        self.archive.tensor(&self.map, name)
    }

    /// Reads every stored array and compares its checksum. (Those of deflated arrays are compared on opening.)
    pub fn verify(&self) -> Result<()> {
        self.archive.verify(&self.map).map_err(|e| Error::file(e.kind(), &self.path, e))
    }
}

/// The arrays of a zip archive.
#[derive(Debug)]
pub struct Archive {
    /// Sorted by name.
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    /// Without its `.npy`.
    name: String,
    header: Header,
    crc: u32,
    deflated: bool,
    /// The .npy file as it lies in the archive, deflated or not.
    place: Range<usize>,
    /// The .npy file, if it was deflated.
    inflated: Vec<u8>,
}

impl Member {
    /// Finds a listed file among the files and checks it; what is deflated is not kept yet.
    fn find(name: &str, files: &[u8], listed: &Listed) -> Result<Member> {
        let place = find_file(files, listed)?;
        let bytes = &files[place.clone()];
        let header = if listed.deflated { check_deflated(bytes, listed)? } else { Header::parse(bytes)? };
        let Listed { crc, deflated, .. } = *listed;
        Ok(Member { name: name.to_string(), header, crc, deflated, place, inflated: Vec::new() })
    }

    fn info<'f>(&'f self, file: &'f [u8]) -> TensorInfo<'f> {
        info(&self.name, &self.header, if self.deflated { &self.inflated } else { &file[self.place.clone()] })
    }
}

/// What the central directory says of a file.
struct Listed<'f> {
    name: &'f [u8],
    flags: usize,
    deflated: bool,
    crc: u32,
    packed: usize,
    size: usize,
    offset: usize,
}

impl Archive {
    /// Reads the directory of a whole archive in memory, and inflates what is deflated.
    pub fn parse(file: &[u8]) -> Result<Archive> {
        let (count, directory) = find_directory(file)?;
        let (files, mut directory) = (&file[..directory.start], &file[directory]);
        let (mut table_room, mut inflated_room) = (MAX_TABLE, MAX_INFLATED);
        let mut members: Vec<Member> = Vec::new();
        let mut taken: Vec<Range<usize>> = Vec::new();
        for _ in 0..count {
            let listed = next_listed(&mut directory)?;
            // A shape may have 64 dimensions.
            let cost = size_of::<Member>() + size_of::<Range<usize>>() + listed.name.len() + 64 * size_of::<usize>();
            table_room = match table_room.checked_sub(cost) {
                Some(room) => room,
                None => return unsupported(format!("an archive of more than {} arrays", members.len())),
            };
            inflated_room = match inflated_room.checked_sub(if listed.deflated { listed.size } else { 0 }) {
                Some(room) => room,
                None => {
                    let most = MAX_INFLATED >> 20;
                    return unsupported(format!("more than {most} MB of compressed arrays: save them uncompressed"));
                }
            };
            let name = array_name(&listed)?;
            let member = Member::find(name, files, &listed)
                .map_err(|e| Error::new(e.kind(), format!("array {}: {e}", quoted(name))))?;
            taken.push(listed.offset..member.place.end);
            members.push(member);
        }
        if !directory.is_empty() {
            return refuse(format!("{} bytes of its directory follow the last entry", directory.len()));
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(twice) = members.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return refuse(format!("array {} is there twice", quoted(&twice[0].name)));
        }
        taken.sort_by_key(|t| t.start);
        if taken.windows(2).any(|pair| pair[0].end > pair[1].start) {
            return refuse("two of its files overlap");
        }
        // Only now, with everything checked, does the archive cost the memory that it asks for.
        for member in members.iter_mut().filter(|m| m.deflated) {
            let size = member.header.start + member.header.size;
            member.inflated.reserve_exact(size);
            inflate(&file[member.place.clone()], size, |bytes| member.inflated.extend_from_slice(bytes))?;
        }
        Ok(Archive { members })
    }

    /// The arrays, sorted by name. `file` is what the archive was read from.
    pub fn tensors<'f>(&'f self, file: &'f [u8]) -> impl Iterator<Item = TensorInfo<'f>> {
        self.members.iter().map(|m| m.info(file))
    }

    /// The array of this name. `file` is what the archive was read from.
    pub fn tensor<'f>(&'f self, file: &'f [u8], name: &str) -> Option<TensorInfo<'f>> {
        let i = self.members.binary_search_by(|m| m.name.as_str().cmp(name)).ok()?;
        Some(self.members[i].info(file))
    }

    /// Reads every stored array and compares its checksum.
    pub fn verify(&self, file: &[u8]) -> Result<()> {
        let damaged = self.members.iter().find(|m| !m.deflated && crc32(0, &file[m.place.clone()]) != m.crc);
        damaged.map_or(Ok(()), |m| refuse(format!("array {}: its checksum does not match its bytes", quoted(&m.name))))
    }
}

/// The little-endian number of `N` bytes at byte `at`.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<usize> {
    let digits = bytes.get(at..).and_then(|b| b.get(..N));
    let Some(digits) = digits else { return refuse("a zip record is cut short") };
    let value = digits.iter().rev().fold(0, |n, &d| n << 8 | u64::from(d));
    usize::try_from(value).or_else(|_| refuse("a zip record counts beyond the address space"))
}

/// A 32-bit size that says "look for 64 bits elsewhere".
const ELSEWHERE: usize = u32::MAX as usize;

/// How many files the central directory lists, and where it lies.
fn find_directory(file: &[u8]) -> Result<(usize, Range<usize>)> {
    // The end record is 22 bytes, then a comment of up to 64 KB, then nothing.
    let Some(latest) = file.len().checked_sub(22) else { return refuse("too short for a zip archive") };
    let earliest = latest.saturating_sub(0xffff);
    let is_end = |&at: &usize| {
        file[at..].starts_with(b"PK\x05\x06") && number::<2>(file, at + 20).is_ok_and(|n| n == latest - at)
    };
    let Some(mut end) = (earliest..=latest).rev().find(is_end) else {
        return refuse("no zip archive: it has no end record");
    };
    let mut count = number::<2>(file, end + 10)?;
    let mut size = number::<4>(file, end + 12)?;
    let mut start = number::<4>(file, end + 16)?;
    if (number::<2>(file, end + 4)?, number::<2>(file, end + 6)?) != (0, 0) {
        return unsupported("a zip archive in several parts");
    }
    if count == 0xffff || size == ELSEWHERE || start == ELSEWHERE {
        let locator = end.checked_sub(20).filter(|&at| file[at..].starts_with(b"PK\x06\x07"));
        if let Some(locator) = locator {
            end = number::<8>(file, locator + 8)?;
            if end > locator || !file[end..].starts_with(b"PK\x06\x06") {
                return refuse("its 64-bit end record is not where it should be");
            }
            count = number::<8>(file, end + 32)?;
            size = number::<8>(file, end + 40)?;
            start = number::<8>(file, end + 48)?;
        }
    }
    match start.checked_add(size) {
        Some(stop) if stop <= end => Ok((count, start..stop)),
        _ => refuse("its directory does not lie before its end record"),
    }
}

/// Takes the next entry off the central directory.
fn next_listed<'f>(directory: &mut &'f [u8]) -> Result<Listed<'f>> {
    let entry = *directory;
    if !entry.starts_with(b"PK\x01\x02") {
        return refuse("its directory lists fewer files than its end record counts");
    }
    let (name_len, extra_len) = (number::<2>(entry, 28)?, number::<2>(entry, 30)?);
    let len = 46 + name_len + extra_len + number::<2>(entry, 32)?;
    let Some((entry, rest)) = entry.split_at_checked(len) else { return refuse("a zip record is cut short") };
    *directory = rest;
    let (name, after) = entry[46..].split_at(name_len);
    let mut sizes = [number::<4>(entry, 24)?, number::<4>(entry, 20)?, number::<4>(entry, 42)?];
    let mut extra = &after[..extra_len];
    while extra.len() >= 4 {
        let (id, len) = (number::<2>(extra, 0)?, number::<2>(extra, 2)?);
        let Some((field, rest)) = extra[4..].split_at_checked(len) else { return refuse("a zip record is cut short") };
        if id == 1 {
            // The 64-bit field holds only those numbers that did not fit, in this order.
            for (i, size) in sizes.iter_mut().filter(|s| **s == ELSEWHERE).enumerate() {
                *size = number::<8>(field, 8 * i)?;
            }
        }
        extra = rest;
    }
    let deflated = match number::<2>(entry, 10)? {
        0 => false,
        8 => true,
        method => return unsupported(format!("zip compression method {method}")),
    };
    let [size, packed, offset] = sizes;
    let (flags, crc) = (number::<2>(entry, 8)?, number::<4>(entry, 16)? as u32);
    Ok(Listed { name, flags, deflated, crc, packed, size, offset })
}

/// The name of the array in this file.
fn array_name<'f>(listed: &Listed<'f>) -> Result<&'f str> {
    const UTF8: usize = 1 << 11;
    let name = std::str::from_utf8(listed.name).ok().filter(|n| n.is_ascii() || listed.flags & UTF8 != 0);
    let Some(name) = name else { return unsupported("a file name in an archive that is not UTF-8") };
    match name.strip_suffix(".npy") {
        Some(array) => Ok(array),
        None => unsupported(format!("an archive with a file {}, which is no array", quoted(name))),
    }
}

/// Where the bytes of a listed file lie.
fn find_file(files: &[u8], listed: &Listed) -> Result<Range<usize>> {
    let Some(local) = files.get(listed.offset..).filter(|l| l.starts_with(b"PK\x03\x04")) else {
        return refuse("its file does not begin where the directory says");
    };
    if listed.flags & 1 != 0 {
        return unsupported("an encrypted archive");
    }
    let name_len = number::<2>(local, 26)?;
    let header = 30 + name_len + number::<2>(local, 28)?;
    if local.get(30..30 + name_len) != Some(listed.name) || number::<2>(local, 8)? != 8 * usize::from(listed.deflated) {
        return refuse("its file and the directory disagree about its name or compression");
    }
    if header > local.len() || listed.packed > local.len() - header {
        return refuse(format!("its file would be {} bytes long and run into the directory", listed.packed));
    }
    if listed.deflated {
        // A size that cannot be true is refused before anything is inflated.
        if listed.size.div_ceil(MAX_RATIO) > listed.packed {
            return refuse(format!("{} bytes cannot inflate to {}", listed.packed, listed.size));
        }
    } else if listed.size != listed.packed {
        return refuse(format!("it is stored, but {} bytes take {}", listed.size, listed.packed));
    }
    let start = listed.offset + header;
    Ok(start..start + listed.packed)
}

/// Inflates a file without keeping it: size, checksum and header must be right.
fn check_deflated(packed: &[u8], listed: &Listed) -> Result<Header> {
    let mut crc = 0;
    let mut start = Vec::new();
    inflate(packed, listed.size, |bytes| {
        crc = crc32(crc, bytes);
        if start.len() < MAX_HEADER + 12 {
            start.extend_from_slice(bytes);
        }
    })?;
    if crc != listed.crc {
        return refuse("its checksum does not match its bytes");
    }
    Header::parse_start(&start, listed.size)
}

/// Inflates `packed`, which must give `size` bytes and use all of its own, handing them on piece by piece.
fn inflate(mut packed: &[u8], size: usize, mut each: impl FnMut(&[u8])) -> Result<()> {
    let mut state = stream::InflateState::new_boxed(DataFormat::Raw);
    let mut piece = vec![0; 1 << 16];
    let mut left = size;
    loop {
        let step = stream::inflate(&mut state, packed, &mut piece, MZFlush::None);
        packed = &packed[step.bytes_consumed..];
        left = match left.checked_sub(step.bytes_written) {
            Some(left) => left,
            None => return refuse(format!("it inflates to more than {size} bytes")),
        };
        each(&piece[..step.bytes_written]);
        match step.status {
            Ok(MZStatus::StreamEnd) => break,
            Ok(_) if step.bytes_consumed + step.bytes_written > 0 => {}
            _ => return refuse("its compressed bytes are damaged or cut short"),
        }
    }
    match left {
        0 if packed.is_empty() => Ok(()),
        0 => refuse(format!("{} bytes follow its compressed bytes", packed.len())),
        _ => refuse(format!("it inflates to {} bytes, not {size}", size - left)),
    }
}

/// The checksum of zip files, of what `crc` is the checksum of and then `bytes`: the remainder of the bits, lowest first,
/// divided by the polynomial 0x04C11DB7, here in reverse.
fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    /// What each value of the lowest byte adds once it is shifted out.
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut crc = i as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!crc, |crc, &b| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ b)])
}
