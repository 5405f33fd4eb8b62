//! A file mapped read-only: the bytes of the weights, where they lie.

use std::{fs::File, io, ops::Deref, path::Path};

/// The bytes of a file, mapped and never copied.
///
/// The limit of a mapping: if another program truncates the file while it is mapped, touching the lost pages ends the
/// process with SIGBUS. Lucid cannot prevent that without copying the weights; replace model files by renaming, not by
/// rewriting them in place.
#[derive(Debug)]
pub struct Map(Option<memmap2::Mmap>);

impl Map {
    /// Maps the whole file at `path`. A directory or device is refused rather than mapped.
    pub fn open(path: &Path) -> io::Result<Map> {
        // Asked before opening, because opening a pipe waits for somebody to write to it; and after, for it may have changed.
        let not_a_file = || io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        if !std::fs::metadata(path)?.is_file() {
            return Err(not_a_file());
        }
        let file = File::open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(not_a_file());
        }
        if meta.len() == 0 {
            return Ok(Map(None)); // an empty mapping is an error on most systems, an empty slice is not
        }
        // SAFETY: the mapping is private and read-only, so this process never writes through it. Its contents can
        // change only if another process rewrites the file; every reader here treats the bytes as untrusted data
        // without invariants (any byte pattern is a valid u8), so that a change yields other numbers, never
        // undefined reads. Truncation is the documented limit above.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Map(Some(map)))
    }

    /// Lets go of the pages that lie wholly in the first `end` bytes: they no longer count as this process's memory, and
    /// come back from the file when they are read again. For who reads a long text once. Does nothing where it cannot.
    pub fn forget(&self, end: usize) {
        #[cfg(unix)]
        if let Some(map) = &self.0 {
            let whole = end.min(map.len()) & !(PAGE - 1);
            // SAFETY: what makes this advice unsafe is that changed pages lose their changes. This mapping is read-only
            // and never written through, so a page that comes back from the file holds what it held.
            let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, 0, whole) };
        }
    }
}

/// At least the page size of any system this runs on; rounding down to more than a page only keeps a little longer.
#[cfg(unix)]
const PAGE: usize = 1 << 16;

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or(&[])
    }
}
