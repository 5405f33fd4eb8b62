//! Models by name, against a hub that this test plays: the same paths, ranges and redirects, and everything that can go
//! wrong on the way.

#[path = "pull/hub.rs"]
mod hub;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[path = "pull/tls.rs"]
mod tls;

use hub::{Fault, Hub, git_hash, sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

const LUCID: &str = env!("CARGO_BIN_EXE_lucid");

/// A home of its own for a test, removed with the value.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Home {
        let folder = std::env::temp_dir().join(format!("lucid-pull-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Home(folder)
    }

    fn repo(&self) -> PathBuf {
        self.0.join("hub/models--owner--model")
    }

    /// The program with this home and that hub, and nothing of the machine's own settings.
    fn command(&self, hub: &Hub, args: &[&str]) -> Command {
        let mut command = Command::new(LUCID);
        for name in [
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "HF_TOKEN_PATH",
            "HF_HUB_CACHE",
            "HUGGINGFACE_HUB_CACHE",
            "HF_HUB_OFFLINE",
        ] {
            command.env_remove(name);
        }
        for name in
            ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "SSL_CERT_FILE"]
        {
            command.env_remove(name);
        }
        command.env("HF_HOME", &self.0).env("HF_ENDPOINT", &hub.address).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn lucid(&self, hub: &Hub, args: &[&str]) -> Output {
        self.command(hub, args).output().unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn stdout(o: &Output) -> &str {
    std::str::from_utf8(&o.stdout).unwrap()
}

fn stderr(o: &Output) -> &str {
    std::str::from_utf8(&o.stderr).unwrap()
}

/// The path that a successful pull prints.
fn path(o: &Output) -> PathBuf {
    assert!(o.status.success(), "{}", stderr(o));
    PathBuf::from(stdout(o).strip_suffix('\n').unwrap())
}

fn fails(o: &Output, words: &str) {
    assert_eq!(o.status.code(), Some(1), "{}{}", stdout(o), stderr(o));
    assert!(stderr(o).contains(words) && !stderr(o).contains("panicked"), "{}", stderr(o));
    assert!(o.stdout.is_empty());
}

/// Bytes that are not all alike.
fn bytes(len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// A repository with three GGUF files, one of them in two parts, and a vocabulary that can be opened.
fn repository() -> Hub {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lucid/tests/golden/tokenizers");
    let vocabulary = fs::read(folder.join("bytes.gguf")).unwrap();
    Hub::start(vec![
        ("README.md", b"# A model\n".to_vec()),
        ("model-Q4_K_M.gguf", bytes(300_000)),
        ("model-Q8_0.gguf", vocabulary),
        ("f16/model-F16-00001-of-00002.gguf", bytes(1000)),
        ("f16/model-F16-00002-of-00002.gguf", bytes(1001)),
        ("mmproj-model-f16.gguf", bytes(10)),
    ])
}

#[test]
fn a_model_comes_once_checked_into_the_layout_of_the_hubs_own_tools() {
    let (hub, home) = (repository(), Home::new("layout"));
    let o = home.lucid(&hub, &["pull", "hf:owner/model"]);
    let found = path(&o);
    assert_eq!(found, home.repo().join("snapshots").join(&hub.commit).join("model-Q4_K_M.gguf"));
    assert_eq!(fs::read(&found).unwrap(), bytes(300_000));
    let hash = sha256(&bytes(300_000));
    assert_eq!(fs::read_link(&found).unwrap(), Path::new("../../blobs").join(&hash));
    assert_eq!(fs::read_to_string(home.repo().join("refs/main")).unwrap(), hub.commit);
    let blobs: Vec<_> = fs::read_dir(home.repo().join("blobs")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(blobs, [&*hash]);

    let before = hub.downloads();
    assert_eq!(path(&home.lucid(&hub, &["pull", "hf:owner/model"])), found);
    assert_eq!(hub.downloads(), before, "what is there is not downloaded again");

    // all parts of a split model, in a folder of their own; the first is the one to open
    let first = path(&home.lucid(&hub, &["pull", "hf:owner/model:f16"]));
    assert!(first.ends_with("f16/model-F16-00001-of-00002.gguf"));
    assert_eq!(fs::read_link(&first).unwrap(), Path::new("../../../blobs").join(sha256(&bytes(1000))));
    assert_eq!(fs::read(first.with_file_name("model-F16-00002-of-00002.gguf")).unwrap(), bytes(1001));
}

#[test]
fn commands_take_names_and_need_no_hub_for_what_the_cache_has() {
    let (hub, home) = (repository(), Home::new("names"));
    let tokenize = ["tokenize", "hf:owner/model:q8_0", "--text", "Hello", "--no-bos"];
    fails(&home.lucid(&hub, &[&["--offline"], &tokenize[..]].concat()), "the cache has no such model");
    assert_eq!(hub.requests().len(), 0);
    let o = home.lucid(&hub, &tokenize);
    assert!(o.status.success(), "{}", stderr(&o));
    let asked = hub.requests().len();
    for offline in [&[][..], &["--offline"]] {
        assert_eq!(home.lucid(&hub, &[&tokenize[..], offline].concat()).stdout, o.stdout);
    }
    let by_variable = home.command(&hub, &["pull", "hf:owner/model:Q8_0"]).env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert!(path(&by_variable).ends_with("model-Q8_0.gguf"));
    assert_eq!(hub.requests().len(), asked, "nothing was asked");
    fails(&home.lucid(&hub, &["--offline", "pull", "hf:owner/model:Q4_0"]), "no file says \"Q4_0\"");
    fails(&home.lucid(&hub, &["tokenize", "hf:owner", "--text", "x"]), "hf:owner/repo");
}

#[test]
fn a_folder_of_safetensors_comes_with_its_config_and_tokenizer() {
    let (config, readme) = (b"{}\n".to_vec(), b"hello".to_vec());
    let hub = Hub::start(vec![
        ("config.json", config.clone()),
        ("tokenizer.json", b"[]".to_vec()),
        ("model-00001-of-00002.safetensors", bytes(70_000)),
        ("model-00002-of-00002.safetensors", bytes(70_001)),
        ("README.md", readme),
        ("pytorch_model.bin", bytes(9)),
    ]);
    let home = Home::new("folder");
    let found = path(&home.lucid(&hub, &["pull", "hf:owner/model"]));
    assert_eq!(found, home.repo().join("snapshots").join(&hub.commit));
    let mut names: Vec<_> =
        fs::read_dir(&found).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected =
        ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "tokenizer.json"];
    assert_eq!(names, expected);
    // small files are known by git's name for their bytes
    assert_eq!(fs::read_link(found.join("config.json")).unwrap(), Path::new("../../blobs").join(git_hash(&config)));
    fails(&home.lucid(&hub, &["pull", "hf:owner/model:Q4_K_M"]), "the repository has no GGUF file");
}

#[test]
fn a_connection_that_is_cut_is_taken_up_again() {
    let (hub, home) = (repository(), Home::new("cut"));
    hub.set(Fault::CutAfter(100_000));
    let found = path(&home.lucid(&hub, &["pull", "hf:owner/model"]));
    assert_eq!(fs::read(found).unwrap(), bytes(300_000));
    let ranges: Vec<_> = hub.requests().into_iter().filter_map(|r| r.range).collect();
    assert!(ranges.iter().all(|&from| from > 0) && !ranges.is_empty(), "{ranges:?}");

    // one that never brings anything ends, keeps what it has, and the next command goes on
    let home = Home::new("cut-for-good");
    hub.set(Fault::CutOnceThenNothing(120_000));
    let o = home.lucid(&hub, &["pull", "hf:owner/model"]);
    fails(&o, "the same command goes on where it stopped");
    let partial = home.repo().join(format!("blobs/{}.incomplete", sha256(&bytes(300_000))));
    let kept = fs::read(&partial).unwrap();
    assert!(!kept.is_empty() && bytes(300_000).starts_with(&kept));
    assert!(!home.repo().join("snapshots").exists() && !home.repo().join("refs").exists(), "nothing half counts");
    let listed = home.lucid(&hub, &["list"]);
    assert!(stdout(&listed).contains("cut off"), "{}", stdout(&listed));
    hub.set(Fault::None);
    let found = path(&home.lucid(&hub, &["pull", "hf:owner/model"]));
    assert_eq!(fs::read(found).unwrap(), bytes(300_000));
    assert_eq!(hub.requests().last().unwrap().range, Some(kept.len() as u64));
    assert!(!partial.exists());
}

#[test]
fn a_server_without_ranges_and_leftovers_of_another_file_do_no_harm() {
    let (hub, home) = (repository(), Home::new("leftovers"));
    let partial = home.repo().join(format!("blobs/{}.incomplete", sha256(&bytes(300_000))));
    fs::create_dir_all(partial.parent().unwrap()).unwrap();
    fs::write(&partial, &bytes(300_000)[..5000]).unwrap();
    hub.set(Fault::NoRanges);
    assert_eq!(fs::read(path(&home.lucid(&hub, &["pull", "hf:owner/model"]))).unwrap(), bytes(300_000));

    hub.set(Fault::None);
    fs::remove_dir_all(home.repo()).unwrap();
    fs::create_dir_all(partial.parent().unwrap()).unwrap();
    fs::write(&partial, vec![7; 400_000]).unwrap(); // longer than the file
    assert_eq!(fs::read(path(&home.lucid(&hub, &["pull", "hf:owner/model"]))).unwrap(), bytes(300_000));

    fs::remove_dir_all(home.repo()).unwrap();
    fs::create_dir_all(partial.parent().unwrap()).unwrap();
    fs::write(&partial, vec![7; 5000]).unwrap(); // its beginning is wrong
    fails(&home.lucid(&hub, &["pull", "hf:owner/model"]), "what came is not what the hub lists");
    assert!(!partial.exists());
    assert_eq!(fs::read(path(&home.lucid(&hub, &["pull", "hf:owner/model"]))).unwrap(), bytes(300_000));
}

#[test]
fn what_is_not_as_listed_never_gets_a_name() {
    let hub = repository();
    for (fault, words) in [
        (Fault::WrongBytes, "what came is not what the hub lists"),
        (Fault::WrongLength(-7), "bytes of 300000 where 300000 are missing"),
        (Fault::WrongLength(7), "bytes of 300000 where 300000 are missing"),
        (Fault::TooMuch, "sends more than the 300000 bytes"),
        (Fault::OtherEtag, "lists one file and sends another"),
        (Fault::WrongRange, "another part of the file"),
        (Fault::RedirectLoop, "redirects more than 5 times"),
        (Fault::RedirectTo("file:///etc/passwd".into()), "is no address"),
        (Fault::RedirectTo(String::new()), "redirects to nowhere"),
    ] {
        let home = Home::new("wrong");
        if fault == Fault::WrongRange {
            let partial = home.repo().join(format!("blobs/{}.incomplete", sha256(&bytes(300_000))));
            fs::create_dir_all(partial.parent().unwrap()).unwrap();
            fs::write(&partial, &bytes(300_000)[..5000]).unwrap();
        }
        hub.set(fault);
        fails(&home.lucid(&hub, &["pull", "hf:owner/model"]), words);
        assert!(!home.repo().join("snapshots").exists());
        assert!(!home.repo().join("blobs").join(sha256(&bytes(300_000))).exists());
    }
}

#[test]
fn refusals_say_what_to_do() {
    let (hub, home) = (repository(), Home::new("refused"));
    for (fault, words) in [
        (Fault::Status(404, ""), "does not exist: check the name"),
        (Fault::Status(401, ""), "does not exist, or is private: check the name, or set HF_TOKEN"),
        (Fault::Status(401, "GatedRepo"), "its authors ask for agreement first"),
        (Fault::Status(403, "GatedRepo"), "its authors ask for agreement first"),
        (Fault::Status(403, ""), "may be gated"),
        (Fault::Status(429, ""), "too many requests"),
        (Fault::Status(503, ""), "HTTP status 503"),
        (Fault::NotJson, "the answer is no JSON"),
        (Fault::Listing(r#"{"sha": "x", "siblings": []}"#.into()), "it names no commit"),
        (Fault::HugeHeader, "cannot be reached"),
    ] {
        hub.set(fault);
        let o = home.lucid(&hub, &["pull", "hf:owner/model"]);
        fails(&o, words);
    }
    let mut gone = repository();
    gone.address = "http://127.0.0.1:9".into(); // where nobody listens
    fails(&home.lucid(&gone, &["pull", "hf:owner/model"]), "cannot be reached");
    fails(&home.lucid(&hub, &["pull", "model.gguf"]), "is no name of a model");
    hub.set(Fault::None);
    fails(&home.lucid(&hub, &["pull", "hf:owner/model:Q5_K_M"]), "no file says \"Q5_K_M\"; there are");
}

#[test]
fn no_file_of_a_hub_leaves_the_cache() {
    let hub = repository();
    let hash = "0".repeat(40);
    for name in ["../../../../evil.gguf", "/tmp/evil.gguf", "a/../../evil.gguf", "..\\\\evil.gguf"] {
        let home = Home::new("evil");
        hub.set(Fault::Listing(format!(
            r#"{{"sha": "{hash}", "siblings": [{{"rfilename": "{name}", "size": 1, "blobId": "{hash}"}}]}}"#
        )));
        fails(&home.lucid(&hub, &["pull", "hf:owner/model"]), "outside of its folder");
        assert!(!home.repo().exists());
    }
    for (sha, blob) in [("../../x", &*hash), (&hash, "../../../../../evil")] {
        let home = Home::new("evil-hash");
        hub.set(Fault::Listing(format!(
            r#"{{"sha": "{sha}", "siblings": [{{"rfilename": "a.gguf", "size": 1, "blobId": "{blob}"}}]}}"#
        )));
        fails(&home.lucid(&hub, &["pull", "hf:owner/model"]), "no listing of a repository");
    }
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let (hub, home) = (repository(), Home::new("token"));
    let elsewhere = Hub::start(vec![("model-Q4_K_M.gguf", bytes(300_000))]);
    hub.set(Fault::RedirectTo(format!("{}/owner/model/resolve/x/model-Q4_K_M.gguf", elsewhere.address)));
    let o = home.command(&hub, &["pull", "hf:owner/model"]).env("HF_TOKEN", "hf_secret").output().unwrap();
    assert_eq!(fs::read(path(&o)).unwrap(), bytes(300_000));
    let bearer = Some("Bearer hf_secret".to_owned());
    assert!(hub.requests().len() >= 2 && hub.requests().iter().all(|r| r.authorization == bearer));
    assert!(!elsewhere.requests().is_empty() && elsewhere.requests().iter().all(|r| r.authorization.is_none()));

    // a login leaves it in a file
    let (hub, home) = (repository(), Home::new("token-file"));
    fs::write(home.0.join("token"), "hf_file\n").unwrap();
    path(&home.lucid(&hub, &["pull", "hf:owner/model"]));
    assert!(hub.requests().iter().all(|r| r.authorization == Some("Bearer hf_file".to_owned())));
    let other = home.0.join("other");
    fs::write(&other, "hf_other").unwrap();
    let o = home.command(&hub, &["pull", "hf:owner/model"]).env("HF_TOKEN_PATH", &other).output().unwrap();
    path(&o);
    assert_eq!(hub.requests().last().unwrap().authorization, Some("Bearer hf_other".to_owned()));
    let o = home.command(&hub, &["pull", "hf:owner/model"]).env("HF_TOKEN", "two\r\nlines").output().unwrap();
    fails(&o, "HF_TOKEN is no token");
}

#[test]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn tls_is_spoken_with_whom_the_user_trusts() {
    let (hub, home) = (repository(), Home::new("tls"));
    let address = tls::before(&hub);
    let pull = |roots: &str| {
        let mut command = home.command(&hub, &["pull", "hf:owner/model"]);
        command.env("HF_ENDPOINT", &address).env("SSL_CERT_FILE", roots).env("HF_TOKEN", "hf_secret").output().unwrap()
    };
    let o = pull(""); // the roots of browsers
    let words = "cannot be trusted: its certificate is invalid (UnknownIssuer); SSL_CERT_FILE names a file of roots";
    fails(&o, words);
    assert_eq!(stderr(&o).lines().count(), 1, "{}", stderr(&o));
    assert!(hub.requests().is_empty() && !home.repo().exists(), "nothing was asked, and no token told");
    fails(&pull("/no/such/file"), "/no/such/file: cannot read (SSL_CERT_FILE)");
    fails(&pull(&tls::ROOT.replace("ca.pem", "localhost.key")), "localhost.key");
    assert_eq!(fs::read(path(&pull(tls::ROOT))).unwrap(), bytes(300_000));
    assert!(hub.requests().iter().all(|r| r.authorization == Some("Bearer hf_secret".to_owned())));
}

#[test]
fn two_downloads_at_once_make_one_file() {
    let (hub, home) = (repository(), Home::new("twice"));
    hub.set(Fault::Slow(Duration::from_millis(3)));
    let both: Vec<_> = (0..2).map(|_| home.command(&hub, &["pull", "hf:owner/model"]).spawn().unwrap()).collect();
    for child in both {
        let o = child.wait_with_output().unwrap();
        assert_eq!(fs::read(path(&o)).unwrap(), bytes(300_000));
    }
    assert_eq!(hub.downloads(), 1, "the second waited for the first");
    assert_eq!(fs::read_dir(home.repo().join("blobs")).unwrap().count(), 1);
}

/// Ended in the middle by a signal, as Ctrl-C does: what came is kept. (Not by that one: what a shell starts in the background
/// ignores it.)
#[test]
#[cfg(unix)]
fn an_interrupted_download_goes_on() {
    let (hub, home) = (repository(), Home::new("interrupted"));
    hub.set(Fault::Slow(Duration::from_millis(200))); // between pieces: time enough for the signal on a busy machine
    let mut child = home.command(&hub, &["pull", "hf:owner/model"]).spawn().unwrap();
    let partial = home.repo().join(format!("blobs/{}.incomplete", sha256(&bytes(300_000))));
    while fs::metadata(&partial).map_or(0, |m| m.len()) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(2));
    }
    let interrupt = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success() && !child.wait().unwrap().success());
    let kept = fs::metadata(&partial).unwrap().len();
    assert!(kept > 0 && kept < 300_000);
    hub.set(Fault::None);
    assert_eq!(fs::read(path(&home.lucid(&hub, &["pull", "hf:owner/model"]))).unwrap(), bytes(300_000));
    assert_eq!(hub.requests().last().unwrap().range, Some(kept));
}

#[test]
fn what_the_cache_has_is_listed_and_removed() {
    let (hub, home) = (repository(), Home::new("list"));
    let list = |args: &[&str]| home.lucid(&hub, &[&["list"], args].concat());
    assert!(list(&[]).stdout.is_empty() && stderr(&list(&[])).contains("no models in"));
    assert_eq!(stdout(&list(&["--json"])), "[]\n");
    for name in ["hf:owner/model", "hf:owner/model:Q8_0", "hf:owner/model:F16"] {
        path(&home.lucid(&hub, &["pull", name]));
    }
    // what somebody else put there is left alone
    fs::create_dir_all(home.0.join("hub/datasets--owner--data/blobs")).unwrap();
    fs::create_dir_all(home.0.join("hub/models--owner--empty/blobs")).unwrap();
    let lines = stdout(&list(&[])).to_owned();
    let names: Vec<&str> = lines.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["hf:owner/model:F16", "hf:owner/model:Q4_K_M", "hf:owner/model:Q8_0"], "{lines}");
    assert!(lines.contains("300.0 kB"), "{lines}");
    let json: serde_json::Value = serde_json::from_slice(&list(&["--json"]).stdout).unwrap();
    assert_eq!(json[0]["bytes"], 2001);
    for row in json.as_array().unwrap() {
        let o = home.lucid(&hub, &["--offline", "pull", row["name"].as_str().unwrap()]);
        assert_eq!(path(&o), Path::new(row["path"].as_str().unwrap()), "every listed name opens");
    }

    fails(&home.lucid(&hub, &["rm", "hf:owner/model:Q5_0"]), "no file says \"Q5_0\"");
    fails(&home.lucid(&hub, &["rm", "hf:owner/other"]), "the cache has no such model");
    fails(&home.lucid(&hub, &["rm", "../../etc"]), "is no name of a model");
    let o = home.lucid(&hub, &["rm", "hf:owner/model:F16"]);
    assert!(o.status.success() && stderr(&o).contains("2.00 kB freed"), "{}", stderr(&o));
    assert_eq!(fs::read_dir(home.repo().join("blobs")).unwrap().count(), 2);
    assert_eq!(stdout(&list(&[])).lines().count(), 2);
    assert!(home.lucid(&hub, &["rm", "hf:owner/model"]).status.success());
    assert!(!home.repo().exists() && list(&[]).stdout.is_empty());
    assert!(home.0.join("hub/datasets--owner--data").exists());
}
