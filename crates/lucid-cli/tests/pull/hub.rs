//! A hub on this machine: it lists one repository, redirects to the bytes of its files, and fails as it is told to.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    None,
    /// Every connection that sends bytes of a file ends after so many.
    CutAfter(usize),
    /// The first ends after so many, the others before the first.
    CutOnceThenNothing(usize),
    /// Ranges are ignored.
    NoRanges,
    WrongBytes,
    /// The length that is told, beside the true one.
    WrongLength(i64),
    /// More bytes than the file has, and no length told.
    TooMuch,
    OtherEtag,
    /// Another part than was asked for.
    WrongRange,
    RedirectLoop,
    RedirectTo(String),
    /// A refusal, and the code that comes with it.
    Status(u16, &'static str),
    NotJson,
    Listing(String),
    HugeHeader,
    /// A pause after every few kilobytes.
    Slow(Duration),
}

/// What was asked.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub authorization: Option<String>,
    /// Where the range that was asked for begins.
    pub range: Option<u64>,
}

pub struct Hub {
    pub address: String,
    pub commit: String,
    state: Arc<State>,
}

struct State {
    address: String,
    commit: String,
    files: Vec<(&'static str, Vec<u8>)>,
    fault: Mutex<Fault>,
    requests: Mutex<Vec<Request>>,
    cut: Mutex<bool>,
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Git's name for a file of these bytes.
pub fn git_hash(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Whether a file is listed by the hash of its bytes, as large ones are.
fn is_large(name: &str) -> bool {
    name.ends_with(".gguf") || name.ends_with(".safetensors")
}

fn hash_of(name: &str, bytes: &[u8]) -> String {
    if is_large(name) { sha256(bytes) } else { git_hash(bytes) }
}

impl Hub {
    pub fn start(files: Vec<(&'static str, Vec<u8>)>) -> Hub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let commit = git_hash(address.as_bytes());
        let state = Arc::new(State {
            address: address.clone(),
            commit: commit.clone(),
            files,
            fault: Mutex::new(Fault::None),
            requests: Mutex::default(),
            cut: Mutex::default(),
        });
        let serving = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = serving.clone();
                // the client may leave at any time
                thread::spawn(move || while state.answer(&stream).unwrap_or(false) {});
            }
        });
        Hub { address, commit, state }
    }

    pub fn set(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = fault;
        *self.state.cut.lock().unwrap() = false;
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    /// How often bytes of a file were asked for.
    pub fn downloads(&self) -> usize {
        self.requests().iter().filter(|r| r.path.starts_with("/cdn/")).count()
    }
}

impl State {
    /// Answers one request; whether the connection stays open.
    fn answer(&self, mut stream: &TcpStream) -> std::io::Result<bool> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = HashMap::new();
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let range = headers.get("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let request = Request { path: path.clone(), authorization: headers.get("authorization").cloned(), range };
        self.requests.lock().unwrap().push(request);
        let fault = self.fault.lock().unwrap().clone();
        if let Fault::Status(status, code) = fault {
            let code = if code.is_empty() { String::new() } else { format!("X-Error-Code: {code}\r\n") };
            write!(stream, "HTTP/1.1 {status} No\r\n{code}Content-Length: 0\r\n\r\n")?;
            return Ok(true);
        }
        if path == "/api/models/owner/model/revision/main?blobs=true" {
            return self.list(stream, fault);
        }
        let commit_of = |path: &str| {
            path.strip_prefix("/owner/model/resolve/")?.split_once('/').map(|(c, f)| (c.to_owned(), f.to_owned()))
        };
        if let Some((commit, name)) = commit_of(&path) {
            return self.redirect(stream, fault, &commit, &name);
        }
        match path.strip_prefix("/cdn/").and_then(|name| self.files.iter().find(|(n, _)| *n == name)) {
            Some((name, bytes)) => self.send(stream, fault, name, bytes, range),
            None => {
                write!(stream, "HTTP/1.1 404 Not Found\r\nX-Error-Code: EntryNotFound\r\nContent-Length: 0\r\n\r\n")?;
                Ok(true)
            }
        }
    }

    fn list(&self, mut stream: &TcpStream, fault: Fault) -> std::io::Result<bool> {
        let entry = |(name, bytes): &(&str, Vec<u8>)| {
            let size = bytes.len();
            let lfs = match is_large(name) {
                true => format!(r#", "lfs": {{"sha256": "{}", "size": {size}, "pointerSize": 134}}"#, sha256(bytes)),
                false => String::new(),
            };
            format!(r#"{{"rfilename": "{name}", "size": {size}, "blobId": "{}"{lfs}}}"#, git_hash(bytes))
        };
        let entries: Vec<String> = self.files.iter().map(entry).collect();
        let text = match &fault {
            Fault::NotJson => "<html>Sorry</html>".to_owned(),
            Fault::Listing(text) => text.clone(),
            _ => format!(r#"{{"id": "owner/model", "sha": "{}", "siblings": [{}]}}"#, self.commit, entries.join(", ")),
        };
        let more =
            if fault == Fault::HugeHeader { format!("X-Long: {}\r\n", "x".repeat(1 << 20)) } else { String::new() };
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\n\r\n{text}",
            text.len()
        )?;
        Ok(true)
    }

    /// Small files are sent as they are, large ones lie elsewhere.
    fn redirect(&self, mut stream: &TcpStream, fault: Fault, commit: &str, name: &str) -> std::io::Result<bool> {
        let Some((name, bytes)) = self.files.iter().find(|(n, _)| *n == name) else {
            write!(stream, "HTTP/1.1 404 Not Found\r\nX-Error-Code: EntryNotFound\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(true);
        };
        let location = match &fault {
            Fault::RedirectLoop => format!("{}/owner/model/resolve/{commit}/{name}", self.address),
            Fault::RedirectTo(to) => to.clone(),
            _ => format!("/cdn/{name}"),
        };
        let location = if location.is_empty() { location } else { format!("Location: {location}\r\n") };
        let etag = if fault == Fault::OtherEtag { "0".repeat(64) } else { hash_of(name, bytes) };
        write!(
            stream,
            "HTTP/1.1 302 Found\r\n{location}X-Repo-Commit: {commit}\r\nX-Linked-Size: {}\r\nX-Linked-ETag: \"{etag}\"\r\n\
             Content-Length: 0\r\n\r\n",
            bytes.len()
        )?;
        Ok(true)
    }

    fn send(
        &self,
        mut stream: &TcpStream,
        fault: Fault,
        name: &str,
        bytes: &[u8],
        range: Option<u64>,
    ) -> std::io::Result<bool> {
        let range = range.filter(|_| fault != Fault::NoRanges).map(|from| from as usize);
        let from = range.unwrap_or(0);
        if from >= bytes.len() && range.is_some() {
            write!(stream, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(true);
        }
        let mut body = bytes[from..].to_vec();
        if fault == Fault::WrongBytes && is_large(name) {
            body[0] ^= 1;
        }
        let length = match fault {
            Fault::WrongLength(more) => (body.len() as i64 + more).to_string(),
            _ => body.len().to_string(),
        };
        let length = match fault {
            Fault::TooMuch => {
                body.extend_from_slice(b"and more");
                "Connection: close\r\n".to_owned()
            }
            _ => format!("Content-Length: {length}\r\n"),
        };
        let told = if fault == Fault::WrongRange { from + 1 } else { from };
        match range {
            Some(_) => write!(
                stream,
                "HTTP/1.1 206 Partial Content\r\n{length}Content-Range: bytes {told}-{}/{}\r\n\r\n",
                bytes.len() - 1,
                bytes.len()
            )?,
            None => write!(stream, "HTTP/1.1 200 OK\r\n{length}\r\n")?,
        }
        let cut = match fault {
            Fault::CutAfter(n) => n,
            Fault::CutOnceThenNothing(n) => {
                let mut cut = self.cut.lock().unwrap();
                if std::mem::replace(&mut *cut, true) { 0 } else { n }
            }
            _ => body.len(),
        };
        for piece in body[..cut.min(body.len())].chunks(8192) {
            stream.write_all(piece)?;
            if let Fault::Slow(pause) = fault {
                thread::sleep(pause);
            }
        }
        stream.flush()?;
        Ok(cut >= body.len() && fault != Fault::TooMuch)
    }
}
