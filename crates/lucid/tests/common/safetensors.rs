//! What must hold for any bytes read as a safetensors file; shared with the fuzz target.

use lucid::{Result, file::safetensors::Header};
use safetensors::SafeTensors;

/// A file of this header text and this many bytes of data, byte i of which is i mod 251.
pub(crate) fn file(header: &str, data_len: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend((0..data_len).map(|i| (i % 251) as u8));
    file
}

/// Reads `file` here and with the safetensors crate, demands the same verdict and equal tensors, and returns the verdict.
pub(crate) fn agreed(file: &[u8]) -> Result<Header> {
    let ours = Header::parse(file);
    let theirs = SafeTensors::deserialize(file);
    match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(ours.table.tensors(file).count(), theirs.len());
            for (name, theirs) in theirs.iter() {
                let ours = ours.table.tensor(file, name).unwrap_or_else(|| panic!("{name:?} is missing"));
                assert_eq!(ours.name, name);
                assert_eq!(ours.type_name, theirs.dtype().to_string());
                assert_eq!(ours.shape, theirs.shape());
                assert_eq!(ours.bytes.as_ptr_range(), theirs.data().as_ptr_range(), "bytes of {name:?}");
            }
            let (_, full) = SafeTensors::read_metadata(file).unwrap();
            let mut metadata: Vec<_> = full.metadata().clone().unwrap_or_default().into_iter().collect();
            metadata.sort();
            assert_eq!(ours.metadata, metadata);
        }
        (Err(_), Err(_)) => {}
        _ => panic!("{:?}\nhere: {ours:?}\ncrate: {theirs:?}", String::from_utf8_lossy(file)),
    }
    ours
}
