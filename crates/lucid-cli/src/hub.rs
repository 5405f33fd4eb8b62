//! Models by name: `hf:owner/repo[:QUANT]`, from the Hugging Face hub into the cache that its own tools use.
//!
//! ```text
//! models--owner--repo/
//!   blobs/HASH                       the bytes of a file: SHA-256 of a large one, git's hash of a small one
//!   blobs/HASH.incomplete            what a download that was cut off has so far
//!   refs/main                        which commit "main" is
//!   snapshots/COMMIT/FOLDER/NAME     a relative link to ../../../blobs/HASH
//! .locks/models--owner--repo/HASH.lock
//! ```
//!
//! So a model is stored once, whoever downloaded it. What the cache has is used without asking the hub; `lucid pull` asks.

mod cache;
mod choose;
mod fetch;
mod http;

pub(crate) use cache::{Cache, Repo};
pub(crate) use choose::{Choice, groups, label};

use anyhow::{Result, bail};
use http::Hub;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// What names begin with.
const SCHEME: &str = "hf:";

/// A model on the hub.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Name {
    pub(crate) owner: String,
    pub(crate) repo: String,
    /// Which of the files in it.
    pub(crate) quant: Option<String>,
}

impl Name {
    /// Reads `hf:owner/repo[:QUANT]`; `None` for anything that does not begin like this.
    pub(crate) fn parse(text: &str) -> Result<Option<Name>> {
        let Some(rest) = text.strip_prefix(SCHEME) else { return Ok(None) };
        let (place, quant) = match rest.split_once(':') {
            Some((place, quant)) => (place, Some(quant)),
            None => (rest, None),
        };
        // what the hub allows; and no name that means something to the file system
        let good = |part: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            (1..=96).contains(&part.len())
                && part.chars().all(allowed)
                && !part.starts_with(['.', '-'])
                && !part.contains("..")
                && !part.contains("--")
        };
        match place.split_once('/') {
            Some((owner, repo))
                if good(owner) && good(repo) && quant.is_none_or(|q| !q.is_empty() && q.len() <= 255) =>
            {
                Ok(Some(Name { owner: owner.into(), repo: repo.into(), quant: quant.map(str::to_owned) }))
            }
            _ => bail!("{text:?} is no name of a model: it is hf:owner/repo, or hf:owner/repo:QUANT such as Q4_K_M"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.owner, self.repo)?;
        self.quant.iter().try_for_each(|quant| write!(f, ":{quant}"))
    }
}

/// Whether `--offline` was given.
static OFFLINE: AtomicBool = AtomicBool::new(false);

/// Never asks the hub from here on.
pub(crate) fn go_offline() {
    OFFLINE.store(true, Ordering::Relaxed);
}

/// Whether the hub must not be asked: by the flag, or by `HF_HUB_OFFLINE`.
pub(crate) fn is_offline() -> bool {
    let by_variable = || std::env::var("HF_HUB_OFFLINE").is_ok_and(|v| is_true(&v));
    OFFLINE.load(Ordering::Relaxed) || by_variable()
}

/// As the hub's own tools read their variables.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&&*value.to_ascii_lowercase())
}

/// The path of a model that the user named: a path is itself, and a name is downloaded where the cache does not have it.
pub(crate) fn local(model: &Path) -> Result<PathBuf> {
    match model.to_str() {
        Some(name) => resolve(name, is_offline()),
        None => Ok(model.to_owned()),
    }
}

/// The same for a text. A name is looked for in the cache alone when `offline`.
pub(crate) fn resolve(name: &str, offline: bool) -> Result<PathBuf> {
    let Some(parsed) = Name::parse(name)? else { return Ok(name.into()) };
    let repo = Cache::open()?.repo(&parsed);
    let found = repo.find(parsed.quant.as_deref());
    match found {
        Ok(Some((path, choice))) if offline || choice.is_sure => return Ok(path),
        Err(e) if offline => return Err(e.context(format!("{name}: the cache has no such model"))),
        Ok(None) if offline => {
            bail!("{name}: the cache has no such model ({}), and --offline keeps it from the hub", repo.path.display())
        }
        _ => {}
    }
    match (pull(&parsed), found) {
        (Ok(path), _) => Ok(path),
        // better some other file of this model than none, but not in silence
        (Err(e), Ok(Some((path, _)))) if e.is::<http::Unreachable>() => {
            eprintln!("note: {e}; {} of the cache is used", path.display());
            Ok(path)
        }
        (Err(e), _) => Err(e),
    }
}

/// Asks the hub what there is, downloads what the cache lacks, and returns where it lies.
pub(crate) fn pull(name: &Name) -> Result<PathBuf> {
    let hub = Hub::from_environment()?;
    let repo = Cache::open()?.repo(name);
    let listing = hub.listing(name)?;
    let names: Vec<&str> = listing.files.iter().map(|file| &*file.path).collect();
    let choice = choose::choose(&names, name.quant.as_deref(), &name.to_string())?;
    let files: Vec<_> = listing.files.iter().filter(|file| choice.files.contains(&file.path)).collect();
    fetch::all(&hub, name, &repo, &listing.commit, &files)?;
    repo.set_main(&listing.commit)?;
    Ok(repo.snapshot(&listing.commit).join(&choice.opened))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_strictly() {
        let name = Name::parse("hf:owner/some.repo-1_b").unwrap().unwrap();
        assert_eq!((&*name.owner, &*name.repo, &name.quant), ("owner", "some.repo-1_b", &None));
        let name = Name::parse("hf:o/r:Q4_K_M").unwrap().unwrap();
        assert_eq!(name.quant.as_deref(), Some("Q4_K_M"));
        assert_eq!(name.to_string(), "hf:o/r:Q4_K_M");
        for path in ["model.gguf", "/hf:o/r", "./hf:x", "HF:o/r", ""] {
            assert_eq!(Name::parse(path).unwrap(), None, "{path}");
        }
        for wrong in [
            "hf:",
            "hf:repo",
            "hf:a/b/c",
            "hf:../x",
            "hf:a/..",
            "hf:a/.b",
            "hf:a/b:",
            "hf:a b/c",
            "hf:a/b--c",
            "hf:/x",
            "hf:a/é",
        ] {
            assert!(Name::parse(wrong).unwrap_err().to_string().contains("hf:owner/repo"), "{wrong}");
        }
    }

    #[test]
    fn paths_stay_as_they_are() {
        assert_eq!(resolve("some/model.gguf", false).unwrap(), Path::new("some/model.gguf"));
    }
}
