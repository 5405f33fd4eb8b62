//! Which instructions a kernel may use: a value that must be held, made only by detection.
//!
//! A function compiled for AVX-512 must not run on a processor without it. So nothing here is chosen by `cfg`: a [`Level`] is
//! made by [`Level::detect`], [`Level::named`] or [`Level::available`], which ask the processor, and every kernel takes one.
//! Whoever holds a `Level` has the proof; the `unsafe` call behind it is sound because of it.
//!
//! Levels differ in speed and in nothing else: every kernel gives the same bits at every level.

use std::fmt;

/// The names of levels, least first on each kind of processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Isa {
    Scalar,
    Avx2,
    AvxVnni,
    Avx512,
    Avx512Vnni,
    Neon,
    DotProd,
    I8mm,
}

/// Proof that this processor has the instructions of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Level(Isa);

/// A level that cannot be had; its text is a whole sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LevelError {
    /// No level has this name.
    Unknown(String),
    /// The level exists, but this processor, or this build, lacks it.
    Unavailable(&'static str),
}

impl fmt::Display for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LevelError::Unknown(name) => write!(f, "{name:?} is no instruction level; levels are ")?,
            LevelError::Unavailable(name) => write!(f, "this processor has no {name}; it has ")?,
        }
        let names: Vec<&str> = match self {
            LevelError::Unknown(_) => ALL.iter().map(|(name, _)| *name).collect(),
            LevelError::Unavailable(_) => Level::available().map(Level::name).collect(),
        };
        f.write_str(&names.join(", "))
    }
}

impl std::error::Error for LevelError {}

const ALL: [(&str, Isa); 8] = [
    ("scalar", Isa::Scalar),
    ("avx2", Isa::Avx2),
    ("avxvnni", Isa::AvxVnni),
    ("avx512", Isa::Avx512),
    ("avx512vnni", Isa::Avx512Vnni),
    ("neon", Isa::Neon),
    ("dotprod", Isa::DotProd),
    ("i8mm", Isa::I8mm),
];

/// Whether this processor has the instructions. The features named here are those that the kernels of the level enable.
#[cfg(target_arch = "x86_64")]
fn has(isa: Isa) -> bool {
    macro_rules! all {
        ($($feature:tt)*) => { $(std::arch::is_x86_feature_detected!($feature))&&* };
    }
    let avx2 = all!("avx2" "fma" "f16c");
    let avx512 = avx2 && all!("avx512f" "avx512bw" "avx512vl" "avx512dq");
    match isa {
        Isa::Scalar => true,
        Isa::Avx2 => avx2,
        Isa::AvxVnni => avx2 && all!("avxvnni"),
        Isa::Avx512 => avx512,
        Isa::Avx512Vnni => avx512 && all!("avx512vnni"),
        Isa::Neon | Isa::DotProd | Isa::I8mm => false,
    }
}

/// Whether this processor has the instructions. The features named here are those that the kernels of the level enable.
#[cfg(target_arch = "aarch64")]
fn has(isa: Isa) -> bool {
    use std::arch::is_aarch64_feature_detected as detected;
    match isa {
        Isa::Scalar => true,
        Isa::Neon => detected!("neon"),
        Isa::DotProd => detected!("neon") && detected!("dotprod"),
        Isa::I8mm => detected!("neon") && detected!("dotprod") && detected!("i8mm"),
        Isa::Avx2 | Isa::AvxVnni | Isa::Avx512 | Isa::Avx512Vnni => false,
    }
}

/// Other architectures have no kernels of their own.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has(isa: Isa) -> bool {
    isa == Isa::Scalar
}

impl Level {
    /// Plain loops, everywhere.
    pub const SCALAR: Level = Level(Isa::Scalar);

    /// The levels that this processor has, least first. The first is always scalar.
    pub fn available() -> impl Iterator<Item = Level> {
        ALL.iter().filter(|(_, isa)| has(*isa)).map(|(_, isa)| Level(*isa))
    }

    /// The fastest level of this processor, or the one that the environment variable `LUCID_LEVEL` names.
    pub fn detect() -> Result<Level, LevelError> {
        match std::env::var("LUCID_LEVEL") {
            Ok(name) if !name.is_empty() => Level::named(&name),
            Ok(_) | Err(std::env::VarError::NotPresent) => Ok(Level::best()),
            Err(std::env::VarError::NotUnicode(name)) => Err(LevelError::Unknown(name.to_string_lossy().into_owned())),
        }
    }

    /// The fastest level of this processor.
    pub fn best() -> Level {
        Level::available().last().unwrap_or(Level::SCALAR)
    }

    /// The level of this name, in any case, if this processor has it.
    pub fn named(name: &str) -> Result<Level, LevelError> {
        match ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            None => Err(LevelError::Unknown(name.into())),
            Some((_, isa)) if has(*isa) => Ok(Level(*isa)),
            Some((name, _)) => Err(LevelError::Unavailable(name)),
        }
    }

    /// The name that `LUCID_LEVEL` takes.
    pub fn name(self) -> &'static str {
        ALL[self.0 as usize].0
    }

    /// Which one it is.
    #[inline]
    pub(crate) fn isa(self) -> Isa {
        self.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_levels_and_scalar_is_always_there() {
        assert_eq!(Level::available().next(), Some(Level::SCALAR));
        for level in Level::available() {
            assert_eq!(Level::named(level.name()), Ok(level));
        }
        for (i, (_, isa)) in ALL.iter().enumerate() {
            assert_eq!(*isa as usize, i);
        }
    }

    #[test]
    fn what_is_not_there_is_an_error_that_lists_what_is() {
        let unknown = Level::named("sse9").unwrap_err();
        assert!(unknown.to_string().contains("avx512vnni"), "{unknown}");
        let foreign = if cfg!(target_arch = "x86_64") { "i8mm" } else { "avx2" };
        let absent = Level::named(foreign).unwrap_err();
        assert_eq!(absent, LevelError::Unavailable(foreign));
        assert!(absent.to_string().contains("scalar"), "{absent}");
    }
}
