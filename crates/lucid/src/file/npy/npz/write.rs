//! Writing archives: every file stored as it is, 64-bit sizes only where 32 bits do not reach.

use super::{ELSEWHERE, crc32};
use crate::{
    Error, ErrorKind, Result,
    file::{npy::Array, partial::Partial, quoted},
};
use std::path::Path;

/// Writes arrays as an uncompressed .npz archive, which appears at `path` when it is complete.
pub fn write_npz(path: &Path, arrays: &[Array]) -> Result<()> {
    let mut names: Vec<&str> = arrays.iter().map(|a| a.name).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::file(ErrorKind::Request, path, format!("two arrays are called {}", quoted(twice[0]))));
    }
    if let Some(long) = names.iter().find(|n| n.len() + ".npy".len() > 0xffff) {
        return Err(Error::file(
            ErrorKind::Request,
            path,
            format!("{} is too long a name for an archive", quoted(long)),
        ));
    }
    let with_header = |array: &'_ Array| match array.header() {
        Ok(header) => Ok(header),
        Err(e) => Err(Error::file(e.kind(), path, format!("array {}: {e}", quoted(array.name)))),
    };
    let headers = arrays.iter().map(with_header).collect::<Result<Vec<_>>>()?;
    let mut out = Partial::create(path)?;
    write_zip(arrays, &headers, ELSEWHERE, |bytes| out.write(bytes))?;
    out.finish()
}

/// Hands the bytes of the archive to `put`. Numbers from `most` on are written in 64 bits.
fn write_zip(
    arrays: &[Array],
    headers: &[Vec<u8>],
    most: usize,
    mut put: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let short = |n: usize| (if n >= most { ELSEWHERE } else { n }, 4);
    let mut directory = Vec::new();
    let mut offset = 0;
    for (array, header) in arrays.iter().zip(headers) {
        let name = format!("{}.npy", array.name);
        let size = header.len() + array.bytes.len();
        let crc = crc32(crc32(0, header), &array.bytes);
        let utf8 = if name.is_ascii() { 0 } else { 1 << 11 };
        // Version 4.5 knows 64-bit sizes; stored; midnight on 1 January 1980.
        let shared = [
            (45, 2),
            (utf8, 2),
            (0, 2),
            (0, 2),
            (0x21, 2),
            (crc as usize, 4),
            short(size),
            short(size),
            (name.len(), 2),
        ];

        // A local header has both sizes in 64 bits or none; the directory has those numbers that need it.
        let sizes = long_field(&if size >= most { vec![size, size] } else { vec![] });
        let mut local = b"PK\x03\x04".to_vec();
        append(&mut local, &shared);
        append(&mut local, &[(sizes.len(), 2)]);
        local.extend_from_slice(name.as_bytes());
        local.extend_from_slice(&sizes);
        put(&local)?;
        put(header)?;
        put(&array.bytes)?;

        let sizes = long_field(&[size, size, offset].into_iter().filter(|&n| n >= most).collect::<Vec<_>>());
        directory.extend_from_slice(b"PK\x01\x02");
        append(&mut directory, &[(45, 2)]);
        append(&mut directory, &shared);
        // No comment, part 0, no attributes but "a file that its owner may read and write".
        append(&mut directory, &[(sizes.len(), 2), (0, 2), (0, 2), (0, 2), (0o100600 << 16, 4), short(offset)]);
        directory.extend_from_slice(name.as_bytes());
        directory.extend_from_slice(&sizes);
        offset += local.len() + size;
    }

    let (count, size) = (arrays.len(), directory.len());
    let mut end = Vec::new();
    if count >= 0xffff || size >= most || offset >= most {
        end.extend_from_slice(b"PK\x06\x06");
        append(&mut end, &[(44, 8), (45, 2), (45, 2), (0, 4), (0, 4), (count, 8), (count, 8), (size, 8), (offset, 8)]);
        end.extend_from_slice(b"PK\x06\x07");
        append(&mut end, &[(0, 4), (offset + size, 8), (1, 4)]);
    }
    end.extend_from_slice(b"PK\x05\x06");
    let count = count.min(0xffff);
    append(&mut end, &[(0, 2), (0, 2), (count, 2), (count, 2), short(size), short(offset), (0, 2)]);
    put(&directory)?;
    put(&end)
}

/// Appends numbers, each in so many bytes.
fn append(record: &mut Vec<u8>, fields: &[(usize, usize)]) {
    for &(number, width) in fields {
        record.extend_from_slice(&(number as u64).to_le_bytes()[..width]);
    }
}

/// The extra field of these numbers in 64 bits; nothing for none.
fn long_field(numbers: &[usize]) -> Vec<u8> {
    let mut field = Vec::new();
    if !numbers.is_empty() {
        append(&mut field, &[(1, 2), (8 * numbers.len(), 2)]);
        numbers.iter().for_each(|&n| append(&mut field, &[(n, 8)]));
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::npy::Archive;

    /// The archive of these arrays in memory, with numbers from `most` on in 64 bits.
    fn zip(arrays: &[Array], most: usize) -> Vec<u8> {
        let headers: Vec<_> = arrays.iter().map(|a| a.header().unwrap()).collect();
        let mut bytes = Vec::new();
        let put = |b: &[u8]| {
            bytes.extend_from_slice(b);
            Ok(())
        };
        write_zip(arrays, &headers, most, put).unwrap();
        bytes
    }

    /// As if ever fewer bytes were more than 32 bits can count: every mixture of short and long fields is read back.
    #[test]
    fn long_fields() {
        let arrays =
            [Array::new("a", &[3], &[1u8, 2, 3]), Array::new("b", &[900], &[7u8; 900]), Array::new("c", &[], &[4u8])];
        let mut lengths = Vec::new();
        // The arrays take 131, 1,028 and 129 bytes and begin at 0, at about 170 and at about 1,240.
        for most in [ELSEWHERE, 1_200, 1_000, 150, 130, 1, 0] {
            let file = zip(&arrays, most);
            let archive = Archive::parse(&file).unwrap();
            archive.verify(&file).unwrap();
            for array in &arrays {
                let t = archive.tensor(&file, array.name).unwrap();
                assert_eq!((t.shape, t.bytes), (array.shape, &*array.bytes));
            }
            lengths.push(file.len());
        }
        assert!(lengths.is_sorted_by(|a, b| a < b), "each has more long fields than the one before: {lengths:?}");
    }
}
