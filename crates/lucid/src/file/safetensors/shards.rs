//! A model in one safetensors file or in several.

use super::{Cursor, MAX_HEADER, MAX_TABLE, Safetensors, refuse, spend};
use crate::{
    Error, ErrorKind, Result,
    file::{TensorInfo, quoted},
};
use lucid_kernels::map::Map;
use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

/// The file names that Hugging Face gives a model's weights.
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// A model's tensors: one file, or several and an index that says which file holds which.
///
/// ```text
/// {"metadata": {"total_size": 128}, "weight_map": {"norm.weight": "model-00001-of-00002.safetensors", …}}
/// ```
#[derive(Debug)]
pub struct Shards {
    /// The index file, if there are several files.
    pub index: Option<PathBuf>,
    /// The files, sorted by name.
    pub files: Vec<Safetensors>,
    /// What the index lists; nothing where there is none.
    listed: Listed,
}

/// Which file holds which tensor, as an index says.
#[derive(Debug, Default)]
struct Listed {
    /// The file names, sorted.
    shards: Vec<String>,
    /// All tensor names, one after the other.
    names: String,
    /// Where in `names` a tensor's name is, and the position of its file; sorted by name.
    holders: Vec<(Range<u32>, u32)>,
}

impl Shards {
    /// Opens `path`: a .safetensors file, an index file, or a folder with `model.safetensors` or its index.
    ///
    /// In a folder that has both, the single file wins, as it does for transformers.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let (single, index) = (path.join(SINGLE), path.join(INDEX));
            match (single.exists(), index.exists()) {
                (true, _) => Self::open_file(&single),
                (false, true) => Self::open_index(&index),
                (false, false) => {
                    Err(Error::file(ErrorKind::Io, path, format!("neither {SINGLE} nor {INDEX} is in this folder")))
                }
            }
        } else if path.extension().is_some_and(|e| e == "json") {
            Self::open_index(path)
        } else {
            Self::open_file(path)
        }
    }

    fn open_file(path: &Path) -> Result<Self> {
        Ok(Shards { index: None, files: vec![Safetensors::open(path)?], listed: Listed::default() })
    }

    fn open_index(index: &Path) -> Result<Self> {
        let map = Map::open(index).map_err(|e| Error::io(index, "cannot open", e))?;
        let listed = Listed::parse(&map, &|end| map.forget(end)).map_err(|e| Error::file(e.kind(), index, e))?;
        let folder = index.parent().unwrap_or(Path::new(""));
        let mut files = Vec::new();
        for path in listed.shards.iter().map(|shard| folder.join(shard)) {
            // Opening would say so too; this names the file that is missing and the file that wants it.
            if !path.exists() {
                let why = format!("this shard is missing; {} lists it", index.display());
                return Err(Error::file(ErrorKind::Io, &path, why));
            }
            files.push(Safetensors::open(&path)?);
        }
        for (name, file) in &listed.holders {
            let (name, file) = (listed.name(name), &files[*file as usize]);
            if file.tensor(name).is_none() {
                let why = format!("tensor {} is not in it, but {} says so", quoted(name), index.display());
                return Err(Error::file(ErrorKind::Structure, &file.path, why));
            }
        }
        Ok(Shards { index: Some(index.to_path_buf()), files, listed })
    }

    /// The tensor of this name, in the file that the index names.
    pub fn tensor(&self, name: &str) -> Option<TensorInfo<'_>> {
        if self.index.is_none() {
            return self.files.first()?.tensor(name);
        }
        self.files[self.listed.holder(name)?].tensor(name)
    }

    /// Every tensor: file by file, in the order of their bytes, leaving out what the index does not list.
    pub fn tensors(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        self.split(true)
    }

    /// Tensors that lie in a shard without being listed for it. Most loaders read them all the same; a model that needs
    /// one has a wrong index.
    pub fn unlisted(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        self.split(false)
    }

    fn split(&self, listed: bool) -> impl Iterator<Item = TensorInfo<'_>> {
        self.files.iter().enumerate().flat_map(move |(i, file)| {
            file.tensors().filter(move |t| (self.index.is_none() || self.listed.holder(t.name) == Some(i)) == listed)
        })
    }
}

impl Listed {
    fn name(&self, place: &Range<u32>) -> &str {
        &self.names[place.start as usize..place.end as usize]
    }

    /// The position of the file that holds this tensor.
    fn holder(&self, name: &str) -> Option<usize> {
        let i = self.holders.binary_search_by(|(known, _)| self.name(known).cmp(name)).ok()?;
        Some(self.holders[i].1 as usize)
    }

    /// Reads an index.
    fn parse(text: &[u8], passed: &dyn Fn(usize)) -> Result<Listed> {
        if text.len() as u64 > MAX_HEADER {
            return refuse(format!("an index of {} bytes; the limit is {MAX_HEADER}", text.len()));
        }
        let mut json =
            Cursor::new(text, passed).or_else(|at| refuse(format!("the index is no UTF-8 from its byte {at} on")))?;
        let mut room = MAX_TABLE;
        let mut found = false;
        let mut numbers = BTreeMap::new(); // of the shards, in order of appearance
        let mut listed = Listed::default();
        json.object(|json, key| {
            if !key.is("weight_map") {
                return json.skip();
            }
            if std::mem::replace(&mut found, true) {
                return refuse("weight_map appears twice");
            }
            json.object(|json, key| {
                let shard = json.string()?;
                if shard.size() > LONGEST {
                    return refuse(format!("tensor {}: {} is no file name", key.quoted(), shard.quoted()));
                }
                let shard: String = shard.chars().collect();
                if !is_plain(&shard) {
                    return refuse(format!("tensor {}: {} is no plain file name", key.quoted(), quoted(&shard)));
                }
                let next = numbers.len() as u32;
                let number = *numbers.entry(shard).or_insert(next);
                if number == next {
                    spend(&mut room, LONGEST + size_of::<(String, u32)>())?;
                }
                spend(&mut room, key.size() + size_of::<(Range<u32>, u32)>())?;
                let start = listed.names.len() as u32;
                listed.names.extend(key.chars());
                listed.holders.push((start..listed.names.len() as u32, number));
                Ok(())
            })
        })?;
        json.end()?;
        if !found {
            return refuse("it has no weight_map");
        }

        let mut position = vec![0; numbers.len()];
        for (sorted, &number) in numbers.values().enumerate() {
            position[number as usize] = sorted as u32;
        }
        listed.shards = numbers.into_keys().collect();
        let mut holders = std::mem::take(&mut listed.holders);
        holders.iter_mut().for_each(|(_, number)| *number = position[*number as usize]);
        holders.sort_by(|a, b| listed.name(&a.0).cmp(listed.name(&b.0)));
        if let Some(twice) = holders.windows(2).find(|pair| listed.name(&pair[0].0) == listed.name(&pair[1].0)) {
            return refuse(format!("tensor {} is listed twice", quoted(listed.name(&twice[0].0))));
        }
        listed.holders = holders;
        Ok(listed)
    }
}

/// The longest spelling of a file name that is read. File systems allow 255 bytes; JSON may spell each as `\u0061`.
const LONGEST: usize = 6 * 255;

/// Whether `name` is a file in the same folder on every system: no path, no drive, no way up.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', ':', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::partial::tests::tempdir;
    use std::fs;

    fn write(path: &Path, header: &str, data: &[u8]) {
        fs::write(path, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()).unwrap();
    }

    /// Two shards: `a` and `b` in the first, `c` and an `a` of other bytes in the second.
    fn two_shards(test: &str) -> PathBuf {
        let dir = tempdir(test);
        write(&dir.join("one.safetensors"), r#"{"b":["U8",[1],[0,1]],"a":["U8",[1],[1,2]]}"#, &[1, 2]);
        write(&dir.join("two.safetensors"), r#"{"c":["U8",[1],[0,1]],"a":["U8",[1],[1,2]]}"#, &[3, 4]);
        dir
    }

    fn index(dir: &Path, weight_map: &str) {
        fs::write(dir.join(INDEX), format!(r#"{{"metadata":{{"total_size":3}},"weight_map":{weight_map}}}"#)).unwrap();
    }

    #[test]
    fn the_index_decides_which_file_holds_a_tensor() {
        let dir = two_shards("index");
        index(&dir, r#"{"c":"two.safetensors","b":"one.safetensors","\u0061":"one.safetensors"}"#);
        let shards = Shards::open(&dir).unwrap();
        assert_eq!(shards.files.len(), 2);
        assert_eq!(shards.tensors().map(|t| (t.name, t.bytes[0])).collect::<Vec<_>>(), [("b", 1), ("a", 2), ("c", 3)]);
        assert_eq!(shards.unlisted().map(|t| (t.name, t.bytes[0])).collect::<Vec<_>>(), [("a", 4)]);
        assert_eq!(shards.tensor("a").unwrap().bytes, [2]);
        assert_eq!(shards.tensor("c").unwrap().bytes, [3]);
        assert!(shards.tensor("d").is_none());
        assert!(Shards::open(&dir.join(INDEX)).is_ok());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn one_file_needs_no_index() {
        let dir = two_shards("single");
        fs::rename(dir.join("one.safetensors"), dir.join(SINGLE)).unwrap();
        fs::write(dir.join(INDEX), "not read").unwrap();
        for path in [dir.clone(), dir.join(SINGLE)] {
            let shards = Shards::open(&path).unwrap();
            assert_eq!(shards.tensors().map(|t| t.name).collect::<Vec<_>>(), ["b", "a"]);
            assert_eq!(shards.unlisted().count(), 0);
            assert_eq!(shards.tensor("b").unwrap().bytes, [1]);
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn wrong_indices_are_refused_in_a_sentence() {
        let dir = two_shards("wrong");
        let none = Shards::open(&dir).unwrap_err();
        assert_eq!(none.kind(), ErrorKind::Io);
        assert!(
            none.to_string().ends_with("neither model.safetensors nor model.safetensors.index.json is in this folder")
        );

        for (weight_map, kind, sentence) in [
            ("{", ErrorKind::Structure, "index.json: at byte 44 of the JSON text"),
            ("[]", ErrorKind::Structure, "an object should stand where '[' stands"),
            (r#"{"a":"three.safetensors"}"#, ErrorKind::Io, "three.safetensors: this shard is missing"),
            (r#"{"d":"one.safetensors"}"#, ErrorKind::Structure, "one.safetensors: tensor \"d\" is not in it"),
            (r#"{"a":"../one.safetensors"}"#, ErrorKind::Structure, "\"../one.safetensors\" is no plain file name"),
            (r#"{"a":"\u002e."}"#, ErrorKind::Structure, "tensor \"a\": \"..\" is no plain file name"),
            (r#"{"a":"/etc/passwd"}"#, ErrorKind::Structure, "is no plain file name"),
            (r#"{"a":"C:\\x"}"#, ErrorKind::Structure, "is no plain file name"),
            (r#"{"a":""}"#, ErrorKind::Structure, "is no plain file name"),
            (r#"{"a":7}"#, ErrorKind::Structure, "a string should stand where '7'"),
            (r#"{"a":"one.safetensors","a":"two.safetensors"}"#, ErrorKind::Structure, "tensor \"a\" is listed twice"),
            (r#"{},"weight_map":{}"#, ErrorKind::Structure, "weight_map appears twice"),
        ] {
            index(&dir, weight_map);
            let e = Shards::open(&dir).expect_err(weight_map);
            assert!(e.to_string().contains(sentence), "{weight_map}: {e}");
            assert_eq!(e.kind(), kind, "{weight_map}");
        }
        fs::write(dir.join(INDEX), "{}").unwrap();
        assert!(Shards::open(&dir).unwrap_err().to_string().ends_with("it has no weight_map"));
        index(&dir, r#"{"a":"one.safetensors"}"#);
        fs::write(dir.join("one.safetensors"), "junk").unwrap();
        let e = Shards::open(&dir).unwrap_err().to_string();
        assert!(e.ends_with("one.safetensors: 4 bytes are too few for a safetensors file"), "{e}");
        fs::remove_dir_all(dir).unwrap();
    }
}
