//! The cache that the tools of the Hugging Face hub share, and their environment variables.

use super::{Choice, Name, choose::choose};
use anyhow::{Context, Result, anyhow, bail};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The folder of all repositories.
pub(crate) struct Cache {
    pub(crate) path: PathBuf,
}

/// The folder of one.
pub(crate) struct Repo {
    pub(crate) path: PathBuf,
    /// Where the locks of its files are.
    pub(crate) locks: PathBuf,
    /// What messages call it.
    pub(crate) name: String,
}

/// A variable that is set and not empty, as a path.
fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    let path = PathBuf::from(value);
    Some(match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    })
}

/// `HF_HOME`, or where it is by default.
fn home() -> Result<PathBuf> {
    let cache = || variable("XDG_CACHE_HOME").or_else(|| Some(std::env::home_dir()?.join(".cache")));
    let found = variable("HF_HOME").or_else(|| Some(cache()?.join("huggingface")));
    found.ok_or_else(|| anyhow!("there is no home folder to keep models in; set HF_HOME"))
}

/// The token to ask with: `HF_TOKEN`, or what a login left in a file.
pub(crate) fn token() -> Result<Option<String>> {
    let from_file = || {
        let path = variable("HF_TOKEN_PATH").or_else(|| Some(home().ok()?.join("token")))?;
        fs::read_to_string(path).ok()
    };
    let set = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter().find_map(|name| std::env::var(name).ok());
    let token = set.or_else(from_file).map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
    match token {
        Some(token) if !token.bytes().all(|b| b.is_ascii_graphic()) => {
            bail!("HF_TOKEN is no token: it holds a space or a sign")
        }
        token => Ok(token),
    }
}

impl Cache {
    /// `HF_HUB_CACHE`, or `hub` in `HF_HOME`. It need not exist yet.
    pub(crate) fn open() -> Result<Cache> {
        let named = variable("HF_HUB_CACHE").or_else(|| variable("HUGGINGFACE_HUB_CACHE"));
        let path = named.map_or_else(|| Ok::<_, anyhow::Error>(home()?.join("hub")), Ok)?;
        Ok(Cache {
            path: std::path::absolute(&path).with_context(|| format!("{}: no place for models", path.display()))?,
        })
    }

    pub(crate) fn repo(&self, name: &Name) -> Repo {
        let folder = format!("models--{}--{}", name.owner, name.repo);
        Repo {
            path: self.path.join(&folder),
            locks: self.path.join(".locks").join(folder),
            name: format!("hf:{}/{}", name.owner, name.repo),
        }
    }

    /// All repositories of models, by name.
    pub(crate) fn repos(&self) -> Result<Vec<Repo>> {
        let mut names = Vec::new();
        if self.path.is_dir() {
            let entries = fs::read_dir(&self.path).with_context(|| format!("{}: cannot read", self.path.display()))?;
            for entry in entries.filter_map(Result::ok) {
                let folder = entry.file_name().into_string().unwrap_or_default();
                let place = folder.strip_prefix("models--").and_then(|rest| rest.split_once("--"));
                if let Some((owner, repo)) = place
                    && let Ok(Some(name)) = Name::parse(&format!("hf:{owner}/{repo}"))
                {
                    names.push(name);
                }
            }
        }
        names.sort_by_key(|name| name.to_string());
        Ok(names.iter().map(|name| self.repo(name)).collect())
    }
}

impl Repo {
    pub(crate) fn blob(&self, hash: &str) -> PathBuf {
        self.path.join("blobs").join(hash)
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.path.join("snapshots").join(commit)
    }

    /// The commit that "main" was when it was last asked for.
    pub(crate) fn main(&self) -> Option<String> {
        let commit = fs::read_to_string(self.path.join("refs/main")).ok()?;
        let commit = commit.trim();
        (commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit())).then(|| commit.to_owned())
    }

    pub(crate) fn set_main(&self, commit: &str) -> Result<()> {
        let path = self.path.join("refs/main");
        let write = || {
            fs::create_dir_all(self.path.join("refs"))?;
            let new = self.path.join(format!("refs/.main.{}", std::process::id()));
            fs::write(&new, commit)?;
            fs::rename(&new, &path)
        };
        write().with_context(|| format!("{}: cannot write", path.display()))
    }

    /// Makes `snapshots/COMMIT/PATH` a link to a blob.
    pub(crate) fn link(&self, commit: &str, path: &str, hash: &str) -> Result<()> {
        let at = self.snapshot(commit).join(path);
        let up = "../".repeat(path.split('/').count() + 1);
        let target = PathBuf::from(format!("{up}blobs/{hash}"));
        let make = || {
            fs::create_dir_all(at.parent().unwrap_or(&self.path))?;
            if fs::read_link(&at).is_ok_and(|found| found == target) {
                return Ok(());
            }
            let new = self.snapshot(commit).join(format!(".{hash}.{}", std::process::id()));
            let _ = fs::remove_file(&new);
            #[cfg(unix)]
            {
                // relative to where it will be, not to where it is made
                std::os::unix::fs::symlink(&target, &new)?;
            }
            #[cfg(not(unix))]
            fs::hard_link(self.blob(hash), &new)?;
            fs::rename(&new, &at)
        };
        make().with_context(|| format!("{}: cannot write", at.display()))
    }

    /// The files of a snapshot that are there, by path, with their sizes.
    pub(crate) fn files(&self, commit: &str) -> BTreeMap<String, u64> {
        let mut files = BTreeMap::new();
        collect(&self.snapshot(commit), "", 0, &mut files);
        files
    }

    /// The newest snapshot: that of "main", or else whichever was last written.
    pub(crate) fn newest(&self) -> Option<String> {
        if let Some(commit) = self.main().filter(|commit| self.snapshot(commit).is_dir()) {
            return Some(commit);
        }
        let entries = fs::read_dir(self.path.join("snapshots")).ok()?.filter_map(Result::ok);
        let newest = entries.max_by_key(|entry| entry.metadata().and_then(|m| m.modified()).ok())?;
        newest.file_name().into_string().ok()
    }

    /// What the cache has of this model: `None` when nothing whole.
    pub(crate) fn find(&self, quant: Option<&str>) -> Result<Option<(PathBuf, Choice)>> {
        let Some(commit) = self.newest() else { return Ok(None) };
        let files = self.files(&commit);
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        if !names.iter().any(|name| name.ends_with(".gguf") || name.ends_with(".safetensors")) {
            return Ok(None);
        }
        let choice = choose(&names, quant, &self.name)?;
        let folder = self.snapshot(&commit);
        if choice.opened.is_empty() && !has_all_shards(&folder, &choice) {
            return Ok(None);
        }
        Ok(Some((folder.join(&choice.opened), choice)))
    }
}

impl Repo {
    /// Bytes of downloads that were cut off.
    pub(crate) fn incomplete(&self) -> u64 {
        let entries = fs::read_dir(self.path.join("blobs")).into_iter().flatten().filter_map(Result::ok);
        let partial = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "incomplete"));
        partial.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
    }

    /// Removes everything, or the files that `quant` names from every snapshot. Returns how many bytes that frees.
    pub(crate) fn remove(&self, quant: Option<&str>) -> Result<u64> {
        let fail = |path: &Path| format!("{}: cannot remove", path.display());
        if !self.path.is_dir() {
            bail!("{}: the cache has no such model ({})", self.name, self.path.display());
        }
        let before = self.blob_bytes();
        let Some(quant) = quant else {
            fs::remove_dir_all(&self.path).with_context(|| fail(&self.path))?;
            let _ = fs::remove_dir_all(&self.locks);
            return Ok(before);
        };
        let snapshots = fs::read_dir(self.path.join("snapshots")).with_context(|| fail(&self.path))?;
        let commits: Vec<String> = snapshots.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        let (mut removed, mut why) = (0, None);
        for commit in &commits {
            let files = self.files(commit);
            let names: Vec<&str> = files.keys().map(String::as_str).collect();
            match choose(&names, Some(quant), &self.name) {
                Ok(choice) => {
                    for name in choice.files {
                        let path = self.snapshot(commit).join(name);
                        fs::remove_file(&path).with_context(|| fail(&path))?;
                        removed += 1;
                    }
                }
                Err(e) => why = Some(e),
            }
        }
        if let (0, why) = (removed, why) {
            return Err(why.unwrap_or_else(|| anyhow!("{}: the cache has no such model", self.name)));
        }
        // blobs that no snapshot links to any more
        let mut linked = std::collections::BTreeSet::new();
        for commit in &commits {
            let folder = self.snapshot(commit);
            linked.extend(self.files(commit).keys().filter_map(|name| fs::canonicalize(folder.join(name)).ok()));
        }
        for entry in fs::read_dir(self.path.join("blobs")).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            let is_partial = path.extension().is_some_and(|end| end == "incomplete");
            if !is_partial && fs::canonicalize(&path).is_ok_and(|path| !linked.contains(&path)) {
                fs::remove_file(&path).with_context(|| fail(&path))?;
            }
        }
        Ok(before.saturating_sub(self.blob_bytes()))
    }

    fn blob_bytes(&self) -> u64 {
        let entries = fs::read_dir(self.path.join("blobs")).into_iter().flatten().filter_map(Result::ok);
        entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
    }
}

/// Whether every file that the index of a folder names is among the chosen.
fn has_all_shards(folder: &Path, choice: &Choice) -> bool {
    let Ok(index) = fs::read(folder.join("model.safetensors.index.json")) else { return true };
    let Ok(index) = serde_json::from_slice::<serde_json::Value>(&index) else { return false };
    let shards = index["weight_map"].as_object();
    shards
        .is_some_and(|map| map.values().all(|v| v.as_str().is_some_and(|name| choice.files.iter().any(|f| f == name))))
}

/// Adds the files below `folder` to `files`. A link whose blob is gone is no file.
fn collect(folder: &Path, prefix: &str, depth: usize, files: &mut BTreeMap<String, u64>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Ok(kind) = entry.file_type() else { continue };
        let path = format!("{prefix}{name}");
        if kind.is_dir() && depth < 8 {
            collect(&entry.path(), &format!("{path}/"), depth + 1, files);
        } else if !name.starts_with('.')
            && let Ok(meta) = fs::metadata(entry.path())
            && meta.is_file()
        {
            files.insert(path, meta.len());
        }
    }
}
