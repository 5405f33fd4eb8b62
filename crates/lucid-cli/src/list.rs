//! `lucid list`: the models in the cache.

use crate::{
    hub::{Cache, Repo, groups, label},
    output::{plain, print},
    units,
};
use serde_json::json;

/// Arguments of `lucid list`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lucid list
  lucid list --json

What the Hugging Face cache holds (HF_HOME, HF_HUB_CACHE), whoever downloaded it. Each name can be given as MODEL.")]
pub(crate) struct Args {
    /// A JSON list of objects with name, path and bytes
    #[arg(long)]
    json: bool,
}

/// A model that can be opened, or a download that was cut off.
struct Row {
    name: String,
    path: String,
    bytes: u64,
    note: &'static str,
}

/// Prints the list.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let cache = Cache::open()?;
    let rows: Vec<Row> = cache.repos()?.iter().flat_map(rows).collect();
    if args.json {
        let list: Vec<_> = rows
            .iter()
            .filter(|r| r.note.is_empty())
            .map(|r| json!({"name": r.name, "path": r.path, "bytes": r.bytes}))
            .collect();
        return print(&format!("{:#}\n", json!(list)));
    }
    if rows.is_empty() {
        eprintln!("no models in {}; `lucid pull hf:owner/repo` brings one", cache.path.display());
    }
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let line = |row: &Row| {
        let size = units::bytes(row.bytes as f64);
        format!("{:width$}  {size:>8}  {}", plain(&row.name), row.note).trim_end().to_owned() + "\n"
    };
    print(&rows.iter().map(line).collect::<String>())
}

fn rows(repo: &Repo) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(commit) = repo.newest() {
        let files = repo.files(&commit);
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        let groups = groups(&names);
        let folder = repo.snapshot(&commit);
        for group in &groups {
            let name = label(group);
            // two files of one format are told apart by their names
            let name = if groups.iter().filter(|g| label(g) == name).count() > 1 { group[0].to_owned() } else { name };
            rows.push(Row {
                name: format!("{}:{name}", repo.name),
                path: folder.join(group[0]).display().to_string(),
                bytes: group.iter().map(|file| files[*file]).sum(),
                note: "",
            });
        }
        if groups.is_empty() && names.iter().any(|name| name.ends_with(".safetensors")) {
            rows.push(Row {
                name: repo.name.clone(),
                path: folder.display().to_string(),
                bytes: files.values().sum(),
                note: "",
            });
        }
    }
    let partial = repo.incomplete();
    if partial > 0 {
        rows.push(Row {
            name: repo.name.clone(),
            path: String::new(),
            bytes: partial,
            note: "of a download that was cut off; lucid pull goes on with it",
        });
    }
    rows
}
