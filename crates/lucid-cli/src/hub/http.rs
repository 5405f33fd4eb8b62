//! What is asked of the hub, and what it answers: a listing of a repository, and the bytes of its files.

use super::Name;
use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use std::{fmt, io::Read, path::Path, sync::Arc, time::Duration};
use ureq::{
    Agent, Body,
    http::{HeaderMap, Response, Uri},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

/// Where the hub is, and who asks.
pub(crate) struct Hub {
    /// Without a slash at its end.
    pub(crate) endpoint: String,
    token: Option<String>,
    agent: Agent,
}

/// What a repository holds.
#[derive(Debug, PartialEq)]
pub(crate) struct Listing {
    pub(crate) commit: String,
    pub(crate) files: Vec<File>,
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) hash: Hash,
}

/// What the bytes of a file must hash to; in hexadecimal, and so a good file name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Hash {
    /// Of the bytes: large files.
    Sha256(String),
    /// SHA-1 of "blob SIZE\0" and the bytes, as git names them: small ones.
    Git(String),
}

impl Hash {
    pub(crate) fn hex(&self) -> &str {
        match self {
            Hash::Sha256(hex) | Hash::Git(hex) => hex,
        }
    }
}

/// What went wrong before there was an answer.
fn unreachable(here: &str, error: &ureq::Error) -> Unreachable {
    let what = error.to_string();
    // an error of TLS comes within one of input and output, with its own words at the end
    Unreachable(match what.split_once("invalid peer certificate: ") {
        Some((_, why)) => format!(
            "{here} cannot be trusted: its certificate is invalid ({why}); SSL_CERT_FILE names a file of roots to trust"
        ),
        None => format!("{here} cannot be reached: {what}"),
    })
}

/// The hub could not be asked: no network, no answer.
#[derive(Debug)]
pub(crate) struct Unreachable(String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// A listing of at most this many bytes is read; the largest repositories have some 10 MB.
const MAX_LISTING: u64 = 64 << 20;
const MAX_REDIRECTS: usize = 5;

impl Hub {
    /// As `HF_ENDPOINT` and `HF_TOKEN` say, and the file that a login leaves.
    pub(crate) fn from_environment() -> Result<Hub> {
        let endpoint = std::env::var("HF_ENDPOINT").ok().filter(|v| !v.is_empty());
        let endpoint = endpoint.unwrap_or_else(|| "https://huggingface.co".into()).trim_end_matches('/').to_owned();
        origin(&endpoint).with_context(|| format!("HF_ENDPOINT is {endpoint:?}, which is no address"))?;
        let config = Agent::config_builder()
            .max_redirects(0) // followed here, where it is known who may see the token
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("lucid/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(Duration::from_secs(15)))
            .timeout_connect(Some(Duration::from_secs(15)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            .tls_config(tls()?)
            .build();
        Ok(Hub { endpoint, token: super::cache::token()?, agent: config.into() })
    }

    /// What the repository holds now.
    pub(crate) fn listing(&self, name: &Name) -> Result<Listing> {
        let url = format!("{}/api/models/{}/{}/revision/main?blobs=true", self.endpoint, name.owner, name.repo);
        let reply = self.get(&url, 0, name)?.response;
        let mut text = Vec::new();
        let body = reply.into_body().into_reader();
        body.take(MAX_LISTING + 1).read_to_end(&mut text).map_err(|e| Unreachable(format!("{url}: {e}")))?;
        if text.len() as u64 > MAX_LISTING {
            bail!("{url}: the listing has more than {} MB", MAX_LISTING >> 20);
        }
        let value = serde_json::from_slice(&text).with_context(|| format!("{url}: the answer is no JSON"))?;
        parse(&value).with_context(|| format!("{url}: the answer is no listing of a repository"))
    }

    /// The bytes of a file from `from` on.
    pub(crate) fn file(&self, name: &Name, commit: &str, path: &str, from: u64) -> Result<Reply> {
        let url = format!("{}/{}/{}/resolve/{commit}/{}", self.endpoint, name.owner, name.repo, escaped(path));
        self.get(&url, from, name)
    }

    /// Follows redirects. The token goes to the hub itself and to no other place.
    fn get(&self, url: &str, from: u64, name: &Name) -> Result<Reply> {
        let home = origin(&self.endpoint)?;
        let mut url = url.to_owned();
        let mut linked = Linked::default();
        for _ in 0..=MAX_REDIRECTS {
            let here = origin(&url)?;
            let mut request = self.agent.get(&url).header("Accept-Encoding", "identity");
            if let Some(token) = self.token.as_ref().filter(|_| here == home) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
            let response = request.call().map_err(|e| unreachable(&here, &e))?;
            if here == home {
                linked.update(response.headers());
            }
            let status = response.status().as_u16();
            match status {
                200 | 206 | 416 => return Ok(Reply { response, linked }),
                301 | 302 | 303 | 307 | 308 => {
                    let to = header(response.headers(), "location");
                    let to = to.ok_or_else(|| anyhow!("{url}: redirects to nowhere"))?;
                    url = redirected(&url, to)?;
                }
                _ => return Err(self.refused(status, header(response.headers(), "x-error-code"), name)),
            }
        }
        bail!("{name}: the hub redirects more than {MAX_REDIRECTS} times, at last to {url}")
    }

    /// What a status means, and what to do.
    fn refused(&self, status: u16, code: Option<&str>, name: &Name) -> anyhow::Error {
        let page = format!("{}/{}/{}", self.endpoint, name.owner, name.repo);
        let what = match (status, code) {
            (401 | 403, Some("GatedRepo")) => {
                format!("its authors ask for agreement first: give it at {page}, then set HF_TOKEN to a token of yours")
            }
            (401, _) if self.token.is_some() => {
                format!("{page} does not exist, or the token does not open it (HF_TOKEN, or the file of a login)")
            }
            (401, _) => format!("{page} does not exist, or is private: check the name, or set HF_TOKEN"),
            (403, _) => format!("the token may not read {page}; it may be gated: agree there first"),
            (404, Some("EntryNotFound")) => format!("{page} lists a file that it does not have"),
            (404, _) => format!("{page} does not exist: check the name; a private model needs HF_TOKEN"),
            (429, _) => "the hub has had too many requests from here; wait, or set HF_TOKEN".to_owned(),
            (500.., _) => format!("the hub has trouble (HTTP status {status}); try again later"),
            _ => format!("the hub answers with HTTP status {status}"),
        };
        anyhow!("{name}: {what}")
    }
}

/// TLS with the roots of trust that browsers have, or those in the file that `SSL_CERT_FILE` names.
fn tls() -> Result<TlsConfig> {
    #[cfg(target_arch = "x86_64")]
    {
        // what the cryptography is written with; Intel since 2014, AMD since 2017
        macro_rules! has_all {
            ($($feature:tt)*) => { [$(($feature, std::arch::is_x86_feature_detected!($feature))),*] };
        }
        let needed = has_all!("aes" "ssse3" "pclmulqdq" "avx" "avx2" "bmi1" "bmi2" "adx");
        if let Some((feature, _)) = needed.iter().find(|(_, has)| !has) {
            bail!("this processor has no {feature}, which TLS needs here; download the model with another program")
        }
    }
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let provider = Arc::new(rustls_graviola::default_provider());
        let config = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
        Ok(match std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
            Some(path) => config.root_certs(certificates(Path::new(&path))?).build(),
            None => config.build(),
        })
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    bail!("on this processor Lucid has no TLS; download the model with another program")
}

/// The certificates in a PEM file.
fn certificates(path: &Path) -> Result<RootCerts> {
    let bytes = std::fs::read(path).with_context(|| format!("{}: cannot read (SSL_CERT_FILE)", path.display()))?;
    let items: Result<Vec<PemItem<'_>>, _> = parse_pem(&bytes).collect();
    let items = items.with_context(|| format!("{}: is no PEM file (SSL_CERT_FILE)", path.display()))?;
    let certificates: Vec<_> = items
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate.to_owned()),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        bail!("{}: holds no certificate (SSL_CERT_FILE)", path.display());
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// An answer whose body is still to come.
pub(crate) struct Reply {
    pub(crate) response: Response<Body>,
    pub(crate) linked: Linked,
}

/// What the hub says of a file before it sends the reader elsewhere for the bytes.
#[derive(Debug, Default)]
pub(crate) struct Linked {
    pub(crate) etag: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) commit: Option<String>,
}

impl Linked {
    fn update(&mut self, headers: &HeaderMap) {
        let etag = header(headers, "x-linked-etag");
        let etag = etag.map(|tag| tag.trim_start_matches("W/").trim_matches('"').to_owned());
        self.etag = etag.or(self.etag.take());
        self.size = header(headers, "x-linked-size").and_then(|n| n.parse().ok()).or(self.size);
        self.commit = header(headers, "x-repo-commit").map(str::to_owned).or(self.commit.take());
    }
}

pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Scheme, host and port of an address, in one form.
fn origin(url: &str) -> Result<String> {
    let uri: Uri = url.parse().with_context(|| format!("{url:?} is no address"))?;
    let authority = uri.authority().filter(|a| !a.as_str().contains('@'));
    let port = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => bail!("{url:?} is no address of the web"),
    };
    let authority = authority.ok_or_else(|| anyhow!("{url:?} names no host, or a user"))?;
    let scheme = uri.scheme_str().unwrap_or_default();
    Ok(format!("{scheme}://{}:{}", authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(port)))
}

/// Where `to`, as a redirect from `url` has it, leads.
fn redirected(url: &str, to: &str) -> Result<String> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| anyhow!("{url:?} is no address"))?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let next = match to {
        _ if to.contains("://") => to.to_owned(),
        _ if to.starts_with("//") => format!("{scheme}:{to}"),
        _ if to.starts_with('/') => format!("{scheme}://{host}{to}"),
        _ => {
            let path = rest.split(['?', '#']).next().unwrap_or_default();
            let folder = path.rsplit_once('/').map_or(path, |(folder, _)| folder);
            format!("{scheme}://{folder}/{to}")
        }
    };
    let next = next.split('#').next().unwrap_or_default().to_owned();
    if scheme == "https" && !next.starts_with("https://") {
        bail!("{url}: redirects to {next}, where others could listen");
    }
    origin(&next)?;
    Ok(next)
}

/// A path as it stands in an address.
fn escaped(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    path.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Reads a listing. Every name in it must stay in a folder, and every hash be one.
fn parse(value: &Value) -> Result<Listing> {
    let is_hex =
        |text: &str, len: usize| text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let commit = value["sha"].as_str().filter(|sha| is_hex(sha, 40)).ok_or_else(|| anyhow!("it names no commit"))?;
    let mut files = Vec::new();
    for entry in value["siblings"].as_array().ok_or_else(|| anyhow!("it lists no files"))? {
        let path = entry["rfilename"].as_str().ok_or_else(|| anyhow!("a file has no name"))?;
        if !stays_inside(path) {
            bail!("the file {path:?} would lie outside of its folder");
        }
        let lfs = &entry["lfs"];
        let size = lfs["size"].as_u64().or(entry["size"].as_u64());
        let hash = match (lfs["sha256"].as_str().or(lfs["oid"].as_str()), entry["blobId"].as_str()) {
            (Some(hex), _) if is_hex(hex, 64) => Hash::Sha256(hex.into()),
            (None, Some(hex)) if is_hex(hex, 40) => Hash::Git(hex.into()),
            _ => bail!("the file {path:?} has no hash to check it by"),
        };
        let size = size.ok_or_else(|| anyhow!("the file {path:?} has no size"))?;
        files.push(File { path: path.into(), size, hash });
    }
    Ok(Listing { commit: commit.into(), files })
}

/// Whether a path from the hub is one below a folder, on every system.
fn stays_inside(path: &str) -> bool {
    let good = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.len() <= 255
            && !part.chars().any(|c| c.is_control() || matches!(c, '\\' | ':' | '<' | '>' | '"' | '|' | '?' | '*'))
    };
    path.len() <= 1024 && path.split('/').all(good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_file_leaves_its_folder() {
        for path in ["a", "a/b.gguf", "a b", ".gitattributes", "日本.txt"] {
            assert!(stays_inside(path), "{path}");
        }
        let long = "x/".repeat(600) + "y";
        for path in ["", "/a", "..", "../a", "a/../b", "a//b", "a/", "./a", "a\\b", "C:a", "a\0b", "a\nb", &long] {
            assert!(!stays_inside(path), "{path}");
        }
        let hash = "0".repeat(40);
        let listing = json!({"sha": hash, "siblings": [{"rfilename": "../../x", "size": 1, "blobId": hash}]});
        assert!(parse(&listing).unwrap_err().to_string().contains("outside"));
    }

    #[test]
    fn listings_are_read_strictly() {
        let (git, sha) = ("a".repeat(40), "b".repeat(64));
        let good = json!({"sha": git, "siblings": [
            {"rfilename": "a", "size": 3, "blobId": git},
            {"rfilename": "b", "size": 4, "blobId": git, "lfs": {"sha256": sha, "size": 4, "pointerSize": 130}},
        ]});
        let files = parse(&good).unwrap().files;
        assert_eq!(files[0], File { path: "a".into(), size: 3, hash: Hash::Git(git.clone()) });
        assert_eq!(files[1], File { path: "b".into(), size: 4, hash: Hash::Sha256(sha) });
        for (pointer, wrong) in [
            ("/sha", json!("main")),
            ("/siblings", json!(null)),
            ("/siblings/0/rfilename", json!(1)),
            ("/siblings/0/size", json!(-1)),
            ("/siblings/0/blobId", json!("../../x")),
            ("/siblings/0/blobId", json!("A".repeat(40))),
            ("/siblings/1/lfs/sha256", json!("x".repeat(64))),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = wrong;
            assert!(parse(&bad).is_err(), "{pointer}");
        }
    }

    #[test]
    fn redirects_lead_where_they_say_and_never_to_plain_text() {
        let from = "https://hub.example/o/r/resolve/x/f?y=1";
        assert_eq!(redirected(from, "https://cdn.example/z?s=1#f").unwrap(), "https://cdn.example/z?s=1");
        assert_eq!(redirected(from, "//cdn.example/z").unwrap(), "https://cdn.example/z");
        assert_eq!(redirected(from, "/z").unwrap(), "https://hub.example/z");
        assert_eq!(redirected(from, "g").unwrap(), "https://hub.example/o/r/resolve/x/g");
        for to in ["http://hub.example/z", "file:///etc/passwd", "https://user@cdn.example/z", "https://"] {
            assert!(redirected(from, to).is_err(), "{to}");
        }
        assert_eq!(origin("https://Hub.example/x").unwrap(), origin("https://hub.example:443").unwrap());
        assert_ne!(origin("https://hub.example").unwrap(), origin("https://hub.example:8443").unwrap());
        assert_ne!(origin("https://hub.example").unwrap(), origin("http://hub.example").unwrap());
    }

    #[test]
    fn names_are_escaped_in_addresses() {
        assert_eq!(escaped("a b/c#d?e%f+é.gguf"), "a%20b/c%23d%3Fe%25f%2B%C3%A9.gguf");
    }
}
