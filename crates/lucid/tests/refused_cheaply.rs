//! Files made to exhaust their reader are refused in little memory and time, whatever they claim.
#![cfg(target_os = "linux")]

use lucid::{
    ErrorKind,
    file::{npy::Npz, safetensors::Safetensors, safetensors::Shards},
};
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// The longest header that a safetensors file may have.
const HEADER: usize = 100_000_000;

/// A child process reads the file under the kernel's own limits: 64 MB of anonymous memory, no more resident with the pages
/// of the mapped file, and 20 seconds of processor time, which is some fifty times what the slowest case takes, because a busy machine counts
/// slowly: time that grows with the square of a header would still be hours. It is the same test, told what to read.
fn refused(test: &str, file: &str, kind: ErrorKind, sentence: &str, write: impl FnOnce(&mut BufWriter<File>)) {
    const READ: &str = "LUCID_TEST_READ";
    if let Some(path) = std::env::var_os(READ).map(PathBuf::from) {
        if path.ends_with(file) {
            let e = open(&path).expect_err(sentence);
            assert!(peak_resident() < 64 << 20, "{file}: {} bytes were resident", peak_resident());
            assert!(e.to_string().contains(sentence), "{e}");
            assert!(e.to_string().len() < 1000, "the sentence is as long as what it refuses");
            assert_eq!(e.kind(), kind);
        }
        return;
    }
    let dir = std::env::temp_dir().join(format!("lucid-{}-{test}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(file);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path).unwrap());
    write(&mut out);
    out.flush().unwrap();
    let limited = Command::new("sh")
        .args(["-c", "ulimit -t 20 && ulimit -d 65536 && exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(READ, &path)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    let said = String::from_utf8_lossy(&limited.stdout) + String::from_utf8_lossy(&limited.stderr);
    assert!(limited.status.success() && said.contains("1 passed"), "{file}: {}\n{said}", limited.status);
}

/// The most memory this process had resident so far, mapped files included.
fn peak_resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn open(path: &Path) -> lucid::Result<()> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("npz") => Npz::open(path).map(drop),
        Some("json") => Shards::open(path).map(drop),
        _ => Safetensors::open(path).map(drop),
    }
}

/// A header that begins with `start`, goes on with `part` as long as there is room, and ends with `end`.
fn header(out: &mut impl Write, start: &str, part: impl Fn(usize) -> String, end: &str) {
    out.write_all(&(HEADER as u64).to_le_bytes()).unwrap();
    long_text(out, start, part, end);
}

fn long_text(out: &mut impl Write, start: &str, part: impl Fn(usize) -> String, end: &str) {
    out.write_all(start.as_bytes()).unwrap();
    let mut room = HEADER - start.len() - end.len();
    for i in 0.. {
        let part = part(i);
        if part.len() > room {
            break;
        }
        out.write_all(part.as_bytes()).unwrap();
        room -= part.len();
    }
    write!(out, "{}{end}", " ".repeat(room)).unwrap();
}

#[test]
fn safetensors_headers() {
    use ErrorKind::{Structure, Unsupported};
    let refused = |file, kind, sentence, start, part: fn(usize) -> String, end| {
        refused("safetensors_headers", file, kind, sentence, |out| header(out, start, part, end));
    };
    refused("blanks", Structure, "a comma or '}' should stand", "{\"a\":[\"U8\",[0],[0,0]]", |_| " ".repeat(1000), "x");
    refused("a-name", Structure, "the rest of a string", "{\"", |_| "\\n".repeat(500), "");
    refused("two-names", Unsupported, "fit 24 MB", "{\"", |_| "\\u0061".repeat(200), "\":[\"U8\",[0],[0,0]]}");
    refused("tensors", Unsupported, "fit 24 MB", "{", |i| format!("\"{i}\":[\"U8\",[0],[0,0]],"), "");
    refused("same-tensor", Unsupported, "fit 24 MB", "{", |_| "\"\":[\"U8\",[],[0,1]],".into(), "");
    refused("dims", Unsupported, "fit 24 MB", "{\"a\":[\"U8\",[1", |_| ",1".repeat(500), "],[0,1]]}");
    refused("metadata", Unsupported, "fit 24 MB", "{\"__metadata__\":{", |_| "\"\":\"\",".into(), "");
    refused("a-text", Unsupported, "fit 24 MB", "{\"__metadata__\":{\"a\":\"", |_| "x".repeat(1000), "\"}}");
    refused("a-number", Structure, "a valid number", "{\"a\":[\"U8\",[1", |_| "0".repeat(1000), "],[0,1]]}");
    refused("unknown", Structure, "it lacks a dtype", "{\"a\":{\"x\":[1", |_| ",{\"y\":[[1.5]]}".repeat(50), "]}}");
    refused("unknown-keys", Structure, "it lacks a dtype", "{\"a\":{\"x\":1", |i| format!(",\"k{i}\":\"\\n\""), "}}");
    refused("depth", Structure, "nests deeper than 127 levels", "{\"a\":{\"x\":", |_| "[".repeat(1000), "");
    refused("dtype", Structure, "unknown dtype \"xxxx", "{\"a\":[\"", |_| "x".repeat(1000), "\",[1],[0,1]]}");
}

/// A text that is well formed to its end, where the last name is not UTF-8; and lengths without a header behind them.
#[test]
fn safetensors_bytes() {
    let refused = |file, sentence, write: fn(&mut BufWriter<File>)| {
        refused("safetensors_bytes", file, ErrorKind::Structure, sentence, write);
    };
    refused("utf8", "the header is no UTF-8 from its byte 99999999 on", |out| {
        out.write_all(&(HEADER as u64).to_le_bytes()).unwrap();
        out.write_all(&vec![b' '; HEADER - 1]).unwrap();
        out.write_all(&[0xff]).unwrap();
    });
    refused("longest", "its header would be 18446744073709551615 bytes long", |out| {
        out.write_all(&[0xff; 64]).unwrap()
    });
    refused("short", "the header is 100000000 bytes long, but the file ends after 8 of them", |out| {
        out.write_all(&(HEADER as u64).to_le_bytes()).unwrap();
        out.write_all(&[b' '; 8]).unwrap();
    });
}

#[test]
fn shard_indices() {
    let refused = |file, kind, sentence, start, part: fn(usize) -> String, end| {
        refused("shard_indices", file, kind, sentence, |out| long_text(out, start, part, end));
    };
    refused("many.json", ErrorKind::Unsupported, "fit 24 MB", "{\"weight_map\":{", |i| format!("\"{i}\":\"x\","), "");
    refused("shards.json", ErrorKind::Unsupported, "fit 24 MB", "{\"weight_map\":{", |i| format!("\"\":\"{i}\","), "");
    refused(
        "shard.json",
        ErrorKind::Structure,
        "is no file name",
        "{\"weight_map\":{\"a\":\"",
        |_| "x".repeat(1000),
        "\"}}",
    );
    refused("other.json", ErrorKind::Structure, "it has no weight_map", "{\"metadata\":[1", |_| ",1".repeat(500), "]}");
}

#[test]
fn an_index_of_a_terabyte() {
    refused("an_index_of_a_terabyte", "long.json", ErrorKind::Structure, "the limit is 100000000", |out| {
        out.get_ref().set_len(1 << 40).unwrap(); // of holes
    });
}

/// 256 MB of zeros in 256 KB, and a checksum that is wrong at the very end.
#[test]
fn deflated_archives() {
    let name = "deflated_archives";
    let sentence = "array \"a\": its checksum does not match its bytes";
    refused(name, "bomb.npz", ErrorKind::Structure, sentence, |out| archive(out, 256 << 20, 1));
    let sentence = "more than 256 MB of compressed arrays";
    refused(name, "large.npz", ErrorKind::Unsupported, sentence, |out| archive(out, 257 << 20, 1));
}

/// `count` files of `size` zeros, deflated.
fn archive(out: &mut impl Write, size: usize, count: u8) {
    let deflated = miniz_oxide::deflate::compress_to_vec(&vec![0; size], 9);
    let mut directory = Vec::new();
    let mut offset = 0u32;
    for i in 0..count {
        let name = [b'a' + i, b'.', b'n', b'p', b'y'];
        let mut shared = vec![20, 0, 0, 0, 8, 0];
        shared.extend([0; 8]); // time, date and a wrong checksum
        shared.extend((deflated.len() as u32).to_le_bytes());
        shared.extend((size as u32).to_le_bytes());
        shared.extend([5, 0, 0, 0]);
        let local = [&b"PK\x03\x04"[..], &shared, &name].concat();
        out.write_all(&local).unwrap();
        out.write_all(&deflated).unwrap();
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &shared, &[0; 10], &offset.to_le_bytes(), &name].concat());
        offset += (local.len() + deflated.len()) as u32;
    }
    out.write_all(&directory).unwrap();
    out.write_all(&[b'P', b'K', 5, 6, 0, 0, 0, 0, count, 0, count, 0]).unwrap();
    out.write_all(&(directory.len() as u32).to_le_bytes()).unwrap();
    out.write_all(&offset.to_le_bytes()).unwrap();
    out.write_all(&[0, 0]).unwrap();
}
