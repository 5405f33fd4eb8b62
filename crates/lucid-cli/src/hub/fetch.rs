//! Downloads: cut off and gone on with, checked before they count, safe beside another download of the same file.

use super::{
    Name, Repo,
    http::{File, Hash, Hub, Reply, Unreachable, header},
};
use crate::{output::plain, units};
use anyhow::{Context, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, OpenOptions},
    io::{IsTerminal, Read, Write, stderr},
    path::Path,
    thread,
    time::Duration,
};

/// How often in a row an answer may bring nothing new.
const ATTEMPTS: u32 = 3;

/// Downloads what of `files` the cache lacks, and links all of them into the snapshot.
pub(super) fn all(hub: &Hub, name: &Name, repo: &Repo, commit: &str, files: &[&File]) -> Result<()> {
    for folder in [&repo.path.join("blobs"), &repo.locks] {
        fs::create_dir_all(folder).with_context(|| format!("{}: cannot make this folder", folder.display()))?;
    }
    let missing = |file: &&&File| fs::metadata(repo.blob(file.hash.hex())).map(|m| m.len()).ok() != Some(file.size);
    let total: u64 = files.iter().filter(missing).map(|file| file.size).sum();
    let bar = stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template(
            "{bar:30} {percent:>3}%  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta:>4} left  {wide_msg}",
        );
        ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    });
    let bar = bar.unwrap_or_else(ProgressBar::hidden);
    if total > 0 && !stderr().is_terminal() {
        eprintln!("downloading {name}: {}", units::bytes(total as f64));
    }
    for file in files {
        bar.set_message(plain(&file.path));
        let done = bar.position();
        let fetched = one(hub, name, repo, commit, file, &bar, done);
        fetched.map_err(|e| match e.downcast::<Cut>() {
            Ok(cut) => anyhow!("{name}: {}: {cut}", file.path).context(Cut::ADVICE),
            Err(e) => e,
        })?;
        repo.link(commit, &file.path, file.hash.hex())?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// The connection ended before the file did.
#[derive(Debug)]
struct Cut(String);

impl Cut {
    const ADVICE: &str = "the download broke off; the same command goes on where it stopped";
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cut {}

/// Brings one file into the cache.
fn one(hub: &Hub, name: &Name, repo: &Repo, commit: &str, file: &File, bar: &ProgressBar, done: u64) -> Result<()> {
    let blob = repo.blob(file.hash.hex());
    let is_there = || fs::metadata(&blob).is_ok_and(|m| m.len() == file.size);
    if is_there() {
        return Ok(());
    }
    // whoever is second waits, and finds the file
    let lock = repo.locks.join(format!("{}.lock", file.hash.hex()));
    let lock_file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
    let lock_file = lock_file.with_context(|| format!("{}: cannot write", lock.display()))?;
    if lock_file.try_lock().is_err() {
        bar.suspend(|| eprintln!("note: {} is being downloaded by another program; waiting for it", plain(&file.path)));
        lock_file.lock().with_context(|| format!("{}: cannot lock", lock.display()))?;
    }
    if is_there() {
        bar.inc(file.size);
        return Ok(());
    }
    let partial = repo.blob(&format!("{}.incomplete", file.hash.hex()));
    let mut have = Partial::open(&partial, file)?;
    let mut failures = 0;
    while have.len < file.size || have.is_new {
        have.is_new = false;
        bar.set_position(done + have.len);
        let before = have.len;
        match more(hub, name, commit, file, &mut have, bar) {
            Ok(()) => {}
            Err(e) if !e.is::<Cut>() && !e.is::<Unreachable>() => return Err(e),
            Err(e) => {
                failures = if have.len > before { 1 } else { failures + 1 };
                if failures >= ATTEMPTS {
                    return Err(e);
                }
                thread::sleep(Duration::from_millis(300 * u64::from(failures)));
            }
        }
    }
    let found = have.hash();
    if found != file.hash.hex() {
        let _ = fs::remove_file(&partial);
        bail!(
            "{name}: {}: what came is not what the hub lists (its hash is {found}, not {}); it was deleted",
            plain(&file.path),
            file.hash.hex()
        );
    }
    have.file.sync_all().with_context(|| format!("{}: cannot write", partial.display()))?;
    fs::rename(&partial, &blob).with_context(|| format!("{}: cannot write", blob.display()))?;
    bar.set_position(done + file.size);
    Ok(())
}

/// What is there of a file, and its hash so far.
struct Partial {
    file: fs::File,
    len: u64,
    /// Nothing was asked for yet: a file of no bytes is asked for too.
    is_new: bool,
    hasher: Hasher,
    expected: Hash,
    size: u64,
    path: std::path::PathBuf,
}

#[derive(Clone)]
enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    fn new(hash: &Hash, size: u64) -> Hasher {
        match hash {
            Hash::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Hash::Git(_) => Hasher::Git(Sha1::new_with_prefix(format!("blob {size}\0"))),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Git(hasher) => hasher.update(bytes),
        }
    }
}

impl Partial {
    /// Takes up what an earlier download left.
    fn open(path: &Path, file: &File) -> Result<Partial> {
        let open = || OpenOptions::new().create(true).truncate(false).read(true).append(true).open(path);
        let opened = open().with_context(|| format!("{}: cannot write", path.display()))?;
        let mut partial = Partial {
            file: opened,
            len: 0,
            is_new: true,
            hasher: Hasher::new(&file.hash, file.size),
            expected: file.hash.clone(),
            size: file.size,
            path: path.to_owned(),
        };
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = partial.file.read(&mut buffer).with_context(|| format!("{}: cannot read", path.display()))?;
            if n == 0 {
                break;
            }
            partial.hasher.update(&buffer[..n]);
            partial.len += n as u64;
        }
        if partial.len > file.size {
            partial.restart()?;
        }
        partial.is_new = partial.len == 0;
        Ok(partial)
    }

    fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).with_context(|| format!("{}: cannot write", self.path.display()))?;
        self.len = 0;
        self.hasher = Hasher::new(&self.expected, self.size);
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).with_context(|| format!("{}: cannot write", self.path.display()))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn hash(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        match self.hasher.clone() {
            Hasher::Sha256(hasher) => hex(&hasher.finalize()),
            Hasher::Git(hasher) => hex(&hasher.finalize()),
        }
    }
}

/// Asks once for what is missing, and takes what comes. The connection may end early: that is a [`Cut`].
fn more(hub: &Hub, name: &Name, commit: &str, file: &File, have: &mut Partial, bar: &ProgressBar) -> Result<()> {
    let path = plain(&file.path);
    let Reply { response, linked } = hub.file(name, commit, &file.path, have.len)?;
    // the listing and the answer must speak of the same file
    if linked.size.is_some_and(|size| size != file.size) || linked.etag.is_some_and(|tag| tag != file.hash.hex()) {
        bail!("{name}: {path}: the hub lists one file and sends another; it may have changed just now, so try again");
    }
    if linked.commit.is_some_and(|found| found != commit) {
        bail!("{name}: {path}: the hub sends this file of another commit than {commit}");
    }
    let headers = response.headers();
    match response.status().as_u16() {
        206 => {
            // "bytes 100-199/200"
            let range = header(headers, "content-range").and_then(|range| range.strip_prefix("bytes "));
            let first = range.and_then(|range| range.split('-').next()?.parse::<u64>().ok());
            let total = range.and_then(|range| range.rsplit('/').next()?.parse::<u64>().ok());
            if first != Some(have.len) || total.is_some_and(|total| total != file.size) {
                bail!("{name}: {path}: the hub sends another part of the file than was asked for");
            }
        }
        200 => have.restart()?, // all of it, asked for or not
        _ => {
            have.restart()?;
            return Err(Cut("the hub refuses to go on with it".into()).into());
        }
    }
    let length = header(headers, "content-length").and_then(|n| n.parse::<u64>().ok());
    if length.is_some_and(|length| length != file.size - have.len) {
        bail!(
            "{name}: {path}: the hub sends {} bytes of {} where {} are missing",
            length.unwrap_or(0),
            file.size,
            file.size - have.len
        );
    }
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = match body.read(&mut buffer) {
            Ok(n) => n,
            Err(e) => return Err(Cut(format!("after {} of {} bytes: {e}", have.len, file.size)).into()),
        };
        if n == 0 {
            break;
        }
        if n as u64 > file.size - have.len {
            have.restart()?;
            bail!("{name}: {path}: the hub sends more than the {} bytes that it lists", file.size);
        }
        have.push(&buffer[..n])?;
        bar.inc(n as u64);
    }
    match have.len == file.size {
        true => Ok(()),
        false => Err(Cut(format!("the hub ended it after {} of {} bytes", have.len, file.size)).into()),
    }
}
