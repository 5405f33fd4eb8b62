//! A file that appears whole or not at all.

use crate::{Error, ErrorKind, Result};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// A file being written under another name beside its own; [`Partial::finish`] renames it, dropping it removes it.
///
/// Who has the old file open or mapped keeps the old bytes: rewriting in place would change them under a reader's feet.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    partial: PathBuf,
    /// `None` once the file has its name.
    out: Option<BufWriter<File>>,
}

impl Partial {
    /// Begins the file that will stand at `path`.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        // Through a symbolic link, the file it points to is replaced, not the link.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if fs::metadata(&path).is_ok_and(|m| !m.is_file()) {
            return Err(Error::file(ErrorKind::Io, &path, "cannot write: it exists and is no regular file"));
        }
        let Some(name) = path.file_name() else {
            return Err(Error::file(ErrorKind::Io, &path, "cannot write: it names no file"));
        };
        // The process and a count keep two writers of one file apart; whichever finishes last stays.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut partial = name.to_os_string();
        partial.push(format!(".{}-{}.partial", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let partial = path.with_file_name(partial);
        let file = File::create_new(&partial).map_err(|e| Error::io(&path, "cannot write", e))?;
        Ok(Partial { path, partial, out: Some(BufWriter::with_capacity(1 << 18, file)) })
    }

    /// Where it will stand.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.out {
            Some(out) => out.write_all(bytes).map_err(|e| Error::io(&self.path, "cannot write", e)),
            None => Ok(()), // unreachable: only `finish` takes the file, and it consumes the writer
        }
    }

    /// Gives the file its name.
    pub(crate) fn finish(mut self) -> Result<()> {
        let failed = |e| Error::io(&self.path, "cannot write", e);
        if let Some(out) = &mut self.out {
            out.flush().map_err(failed)?;
            // On the disk before it takes the name: a crash in between must not leave an empty file under it.
            out.get_ref().sync_all().map_err(failed)?;
        }
        fs::rename(&self.partial, &self.path).map_err(failed)?;
        self.out = None;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(out) = self.out.take() {
            drop(out.into_parts()); // closed without writing what is buffered
            let _ = fs::remove_file(&self.partial); // nothing better can be done about a failure here
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An empty folder of this test's own.
    pub(in crate::file) fn tempdir(test: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("lucid-{}-{test}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn the_name_stands_for_a_whole_file_or_the_old_one() {
        let dir = tempdir("partial");
        let path = dir.join("x");
        let left = || fs::read_dir(&dir).unwrap().count();
        let mut partial = Partial::create(&path).unwrap();
        partial.write(b"new").unwrap();
        assert!(!path.exists());
        partial.finish().unwrap();
        assert_eq!((fs::read(&path).unwrap(), left()), (b"new".to_vec(), 1));

        let (mut first, mut second) = (Partial::create(&path).unwrap(), Partial::create(&path).unwrap());
        first.write(b"first").unwrap();
        second.write(b"second").unwrap();
        second.finish().unwrap();
        drop(first);
        assert_eq!((fs::read(&path).unwrap(), left()), (b"second".to_vec(), 1));

        for (path, sentence) in [
            (dir.clone(), "it exists and is no regular file"),
            (PathBuf::from("/"), "it exists and is no regular file"),
            (dir.join("absent/x"), "cannot write"),
        ] {
            let e = Partial::create(&path).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Io);
            assert!(e.to_string().contains(sentence), "{e}");
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_goes_on_pointing_where_it_did() {
        let dir = tempdir("partial-link");
        fs::write(dir.join("file"), "old").unwrap();
        std::os::unix::fs::symlink("file", dir.join("link")).unwrap();
        let mut partial = Partial::create(&dir.join("link")).unwrap();
        partial.write(b"new").unwrap();
        partial.finish().unwrap();
        assert!(fs::symlink_metadata(dir.join("link")).unwrap().is_symlink());
        assert_eq!(fs::read(dir.join("file")).unwrap(), b"new");
        fs::remove_dir_all(dir).unwrap();
    }
}
