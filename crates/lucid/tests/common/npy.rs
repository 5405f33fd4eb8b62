//! What must hold for any bytes read as numpy's files; shared with the fuzz target.

use lucid::{
    Result,
    file::npy::{Archive, Header},
};

/// Reads a header if it can be read; its values are then the rest of the file.
pub(crate) fn read_header(file: &[u8]) -> Result<Header> {
    let header = Header::parse(file)?;
    assert_eq!(header.start + header.size, file.len());
    Ok(header)
}

/// Reads an archive if it can be read, and looks at every byte that it offers.
pub(crate) fn read_archive(file: &[u8]) -> Result<usize> {
    let archive = Archive::parse(file)?;
    let _ = archive.verify(file);
    for t in archive.tensors(file) {
        let again = archive.tensor(file, t.name).expect("listed");
        assert_eq!(again.bytes.as_ptr_range(), t.bytes.as_ptr_range());
        std::hint::black_box(t.bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b)));
    }
    Ok(archive.tensors(file).count())
}
