//! How far local time is from UTC: what Python's `datetime.now()` knows, and with it the templates of transformers.
//!
//! The C library has it from two places, which are read here: the variable `TZ`, and files as the tz database has them.
//!
//! ```text
//! TZif file, numbers big-endian:
//!   header   "TZif"  version, a digit  15 zeros  six counts (u32): of flags, flags, leap seconds, TIMES, KINDS, NAME bytes
//!   block    TIMES × when (i32)  TIMES × kind from then on (u8)  KINDS × (offset i32, summer u8, name u8)  names, leaps, flags
//!   from version 2 on: header and block once more, with "when" of eight bytes, and
//!   footer   "\n" RULE "\n", for all times after the last
//!
//! RULE       CET-1CEST,M3.5.0,M10.5.0/3
//!            name and offset of winter, to the west; of summer; when summer begins and ends: the fifth (that is the last)
//!            Sunday of March, at two o'clock since nothing else is said, and that of October, at three
//! ```
//!
//! What cannot be read is UTC, as it is for the C library.

use super::date::{self, days};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The offsets of a place, in seconds to the east of UTC.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Zone {
    /// Before all of `changes`.
    first: i64,
    /// From when on which offset holds; ascending.
    changes: Vec<(i64, i64)>,
    /// After all of them.
    rule: Option<Rule>,
}

/// What a footer says, or `TZ`.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    winter: i64,
    summer: Option<Summer>,
}

#[derive(Clone, Debug, PartialEq)]
struct Summer {
    offset: i64,
    /// In the time of winter.
    begins: Moment,
    /// In that of summer.
    ends: Moment,
}

/// A time of every year: a day, and seconds from its beginning.
#[derive(Clone, Debug, PartialEq)]
struct Moment {
    day: Day,
    seconds: i64,
}

#[derive(Clone, Debug, PartialEq)]
enum Day {
    /// From 1; a leap day is not counted.
    Julian(i64),
    /// From 0.
    OfYear(i64),
    /// Month, the how manyeth week (5 is the last), and day of the week (0 is Sunday).
    OfWeek(i64, i64, i64),
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// The largest files of the tz database have 4 KB.
const LARGEST: u64 = 1 << 20;

impl Zone {
    /// That of this process: as with the C library, what is true when it is first asked for stays true.
    pub(super) fn local() -> &'static Zone {
        static LOCAL: OnceLock<Zone> = OnceLock::new();
        LOCAL.get_or_init(|| {
            let tz = std::env::var("TZ").ok();
            let folder = std::env::var_os("TZDIR").map_or_else(|| "/usr/share/zoneinfo".into(), PathBuf::from);
            Zone::named(tz.as_deref(), &folder, Path::new("/etc/localtime"))
        })
    }

    /// What a value of `TZ` means: a file in `folder` or elsewhere, or a rule. Without one the system's file counts.
    fn named(tz: Option<&str>, folder: &Path, system: &Path) -> Zone {
        let read = |path: &Path| {
            let mut bytes = Vec::new();
            File::open(path)
                .ok()
                .filter(|f| f.metadata().is_ok_and(|m| m.is_file()))?
                .take(LARGEST)
                .read_to_end(&mut bytes)
                .ok()?;
            Zone::parse(&bytes)
        };
        let zone = match tz.map(|tz| tz.strip_prefix(':').unwrap_or(tz)) {
            None => read(system),
            Some("") => None,
            // an absolute path replaces the folder
            Some(tz) => read(&folder.join(tz)).or_else(|| Some(Zone { rule: Some(rule(tz)?), ..Zone::default() })),
        };
        zone.unwrap_or_default()
    }

    /// Reads a TZif file.
    fn parse(bytes: &[u8]) -> Option<Zone> {
        let (version, counts, rest) = header(bytes)?;
        if version < b'2' {
            return block::<4>(counts, rest).map(|(zone, _)| zone);
        }
        let (_, counts, rest) = header(rest.get(size::<4>(counts)?..)?)?;
        let (zone, footer) = block::<8>(counts, rest)?;
        let text = std::str::from_utf8(footer).ok()?.strip_prefix('\n')?.split('\n').next()?;
        let rule = if text.is_empty() { None } else { Some(rule(text)?) };
        Some(Zone { rule, ..zone })
    }

    /// The offset at a time, which counts in seconds since 1970.
    pub(super) fn offset(&self, at: i64) -> i64 {
        let passed = self.changes.partition_point(|&(from, _)| from <= at);
        match (&self.rule, passed.checked_sub(1)) {
            (Some(rule), _) if passed == self.changes.len() => rule.offset(at),
            (_, Some(last)) => self.changes[last].1,
            (_, None) => self.first,
        }
    }
}

/// The version, the six counts, and what follows.
fn header(bytes: &[u8]) -> Option<(u8, [usize; 6], &[u8])> {
    let (head, rest) = bytes.split_at_checked(44)?;
    if !head.starts_with(b"TZif") {
        return None;
    }
    let (counts, _) = head[20..].as_chunks::<4>();
    let mut numbers = [0; 6];
    for (number, &bytes) in numbers.iter_mut().zip(counts) {
        *number = usize::try_from(u32::from_be_bytes(bytes)).ok().filter(|&n| n as u64 <= LARGEST)?;
    }
    Some((head[4], numbers, rest))
}

/// The bytes of a block whose times have `T` bytes.
fn size<const T: usize>([flags, more, leaps, times, kinds, names]: [usize; 6]) -> Option<usize> {
    Some(times * (T + 1) + kinds * 6 + names + leaps * (T + 4) + flags + more)
}

/// What a block says, and what follows it.
fn block<const T: usize>(counts: [usize; 6], bytes: &[u8]) -> Option<(Zone, &[u8])> {
    let (block, rest) = bytes.split_at_checked(size::<T>(counts)?)?;
    let [.., times, kinds, _] = counts;
    let (when, block) = block.split_at(times * T);
    let (which, block) = block.split_at(times);
    let mut offsets = Vec::new();
    for kind in block[..kinds * 6].as_chunks::<6>().0 {
        let offset = i64::from(i32::from_be_bytes(*kind.first_chunk()?));
        offsets.push(Some(offset).filter(|offset| offset.abs() < 26 * HOUR)?);
    }
    let mut changes: Vec<(i64, i64)> = Vec::new();
    for (when, &kind) in when.as_chunks::<T>().0.iter().zip(which) {
        let negative = when[0] >> 7 != 0;
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[8 - T..].copy_from_slice(when);
        changes.push((i64::from_be_bytes(wide), *offsets.get(kind as usize)?));
    }
    let ascending = changes.is_sorted_by(|a, b| a.0 < b.0);
    ascending.then_some((Zone { first: *offsets.first()?, changes, rule: None }, rest))
}

impl Rule {
    fn offset(&self, at: i64) -> i64 {
        let Some(summer) = &self.summer else { return self.winter };
        let year = date::year((at + self.winter).max(0));
        let begins = summer.begins.of(year) - self.winter;
        let ends = summer.ends.of(year) - summer.offset;
        let is_summer = match begins < ends {
            true => (begins..ends).contains(&at),
            false => !(ends..begins).contains(&at), // in the south
        };
        if is_summer { summer.offset } else { self.winter }
    }
}

impl Moment {
    /// In seconds from 1970, of the clocks that it speaks of.
    fn of(&self, year: i64) -> i64 {
        let first = days(year, 1, 1);
        let day = match self.day {
            Day::Julian(n) => first + n - 1 + i64::from(n >= 60 && days(year, 3, 1) - first == 60),
            Day::OfYear(n) => first + n,
            Day::OfWeek(month, week, weekday) => {
                let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
                let first = days(year, month, 1);
                let day = first + (weekday - (first + 4)).rem_euclid(7) + 7 * (week - 1);
                if day < next { day } else { day - 7 }
            }
        };
        day * DAY + self.seconds
    }
}

/// Reads a rule.
fn rule(text: &str) -> Option<Rule> {
    let mut rest = Rest(text);
    rest.name()?;
    let winter = -rest.time()?;
    if rest.0.is_empty() {
        return Some(Rule { winter, summer: None });
    }
    rest.name()?;
    let offset = if rest.0.is_empty() || rest.0.starts_with(',') { winter + HOUR } else { -rest.time()? };
    if rest.0.is_empty() {
        rest.0 = ",M3.2.0,M11.1.0"; // as in the United States, where this form comes from
    }
    let summer = Summer { offset, begins: rest.moment()?, ends: rest.moment()? };
    rest.0.is_empty().then_some(Rule { winter, summer: Some(summer) })
}

/// What is still to be read of a rule.
struct Rest<'t>(&'t str);

impl Rest<'_> {
    fn skip(&mut self, prefix: char) -> Option<()> {
        self.0 = self.0.strip_prefix(prefix)?;
        Some(())
    }

    /// At least three letters, or anything in angle brackets.
    fn name(&mut self) -> Option<()> {
        if self.skip('<').is_some() {
            self.0 = self.0.split_once('>')?.1;
            return Some(());
        }
        let rest = self.0.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let long_enough = self.0.len() - rest.len() >= 3;
        self.0 = rest;
        long_enough.then_some(())
    }

    /// A number within `range`.
    fn number(&mut self, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let rest = self.0.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = self.0[..self.0.len() - rest.len()].parse().ok()?;
        self.0 = rest;
        Some(number).filter(|n| range.contains(n))
    }

    /// `2`, `-1:30`, `+10:00:00`: in seconds. Rules may lie some days away from the day that they name.
    fn time(&mut self) -> Option<i64> {
        let sign = if self.skip('-').is_some() { -1 } else { 1 };
        if sign == 1 {
            let _ = self.skip('+');
        }
        let mut time = self.number(0..=167)? * HOUR;
        for unit in [60, 1] {
            if self.skip(':').is_some() {
                time += self.number(0..=59)? * unit;
            }
        }
        Some(sign * time)
    }

    /// `,M3.5.0/2`
    fn moment(&mut self) -> Option<Moment> {
        self.skip(',')?;
        let day = if self.skip('M').is_some() {
            let month = self.number(1..=12)?;
            self.skip('.')?;
            let week = self.number(1..=5)?;
            self.skip('.')?;
            Day::OfWeek(month, week, self.number(0..=6)?)
        } else if self.skip('J').is_some() {
            Day::Julian(self.number(1..=365)?)
        } else {
            Day::OfYear(self.number(0..=365)?)
        };
        let seconds = if self.skip('/').is_some() { self.time()? } else { 2 * HOUR };
        Some(Moment { day, seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    /// One header and block with times of `T` bytes, all counts in use.
    fn part<const T: usize>(version: u8, changes: &[(i64, u8)], offsets: &[i32]) -> Vec<u8> {
        let mut bytes = [b"TZif".as_slice(), &[version], &[0; 15]].concat();
        for count in [offsets.len(), offsets.len(), 1, changes.len(), offsets.len(), 4] {
            bytes.extend((count as u32).to_be_bytes());
        }
        bytes.extend(changes.iter().flat_map(|(at, _)| at.to_be_bytes()[8 - T..].to_vec()));
        bytes.extend(changes.iter().map(|(_, kind)| kind));
        bytes.extend(offsets.iter().flat_map(|offset| [&offset.to_be_bytes()[..], &[0, 0]].concat()));
        bytes.extend(b"LMT\0");
        bytes.extend(vec![7; T + 4 + 2 * offsets.len()]); // a leap second and the flags
        bytes
    }

    /// A place that kept its own time until 1900, then went through a summer in 1996; the rule holds from there on.
    fn file(rule: &str) -> Vec<u8> {
        let offsets = [3208, 3600, 7200];
        let old = part::<4>(b'2', &[(5, 0)], &[0]); // what programs of old would read
        let new = part::<8>(b'2', &[(-2_208_988_800, 1), (828_234_000, 2), (846_378_000, 1)], &offsets);
        [&old[..], &new, format!("\n{rule}\n").as_bytes()].concat()
    }

    #[test]
    fn a_files_times_come_first_and_its_rule_holds_after_them() {
        let zone = Zone::parse(&file(BERLIN)).unwrap();
        for (at, offset) in [
            (i64::MIN, 3208),
            (-2_208_988_801, 3208),
            (-2_208_988_800, 3600),
            (828_233_999, 3600),
            (828_234_000, 7200),
            (846_377_999, 7200),
            (846_378_000, 3600),
            (1_743_296_399, 3600), // 2025-03-30 00:59:59 UTC
            (1_743_296_400, 7200),
            (1_761_440_399, 7200), // 2025-10-26 00:59:59 UTC
            (1_761_440_400, 3600),
            (253_402_300_799, 3600),
        ] {
            assert_eq!(zone.offset(at), offset, "{at}");
        }
        assert_eq!(Zone::parse(&file("")).unwrap().offset(1_751_328_000), 3600, "without a rule the last change holds");
        let old = Zone::parse(&part::<4>(0, &[(-1_000, 1), (1_000, 0)], &[60, -120])).unwrap();
        assert_eq!([-1_001, -1_000, 999, 1_000].map(|at| old.offset(at)), [60, -120, -120, 60], "of version 1");
    }

    #[test]
    fn rules_are_those_of_the_c_library() {
        // time.localtime(…).tm_gmtoff of Python on glibc, with TZ set to the rule
        const TIMES: [i64; 8] =
            [0, 951_782_400, 1_743_296_399, 1_743_296_400, 1_751_328_000, 1_761_440_400, 1_767_225_600, 1_900_000_000];
        for (text, offsets) in [
            ("CET-1CEST,M3.5.0,M10.5.0/3", [3600, 3600, 3600, 7200, 7200, 3600, 3600, 3600]),
            ("EST5EDT", [-18000, -18000, -14400, -14400, -14400, -14400, -18000, -14400]),
            ("<+0330>-3:30", [12600, 12600, 12600, 12600, 12600, 12600, 12600, 12600]),
            ("AEST-10AEDT,M10.1.0,M4.1.0/3", [39600, 39600, 39600, 39600, 36000, 39600, 39600, 39600]),
            ("IST-1GMT0,M10.5.0,M3.5.0/1", [0, 0, 0, 3600, 3600, 0, 0, 0]),
            ("XXX3YYY,J60,300/1:30", [-10800, -10800, -7200, -7200, -7200, -7200, -10800, -7200]),
            ("AAA-5:45:30BBB-6,59/0,J365/25", [20730, 21600, 21600, 21600, 21600, 21600, 20730, 21600]),
            ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", [-7200, -7200, -7200, -3600, -3600, -7200, -7200, -7200]),
        ] {
            let zone = Zone::named(Some(text), Path::new("/no/such/folder"), Path::new("/no/such/file"));
            assert_eq!(TIMES.map(|at| zone.offset(at)), offsets, "{text}");
        }
        for wrong in
            ["X3", "CET", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0/3x", "<CET-1"]
        {
            assert_eq!(rule(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tz_names_a_file_or_a_rule_and_nothing_at_all_is_utc() {
        let folder = std::env::temp_dir().join(format!("lucid-zone-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("Europe")).unwrap();
        let path = folder.join("Europe/Berlin");
        std::fs::write(&path, file(BERLIN)).unwrap();
        let july = |tz: Option<&str>, system: &Path| Zone::named(tz, &folder, system).offset(1_751_328_000);
        let none = Path::new("/no/such/file");
        assert_eq!(july(None, &path), 7200);
        assert_eq!(july(None, none), 0);
        assert_eq!(july(Some(""), &path), 0);
        for tz in ["Europe/Berlin", ":Europe/Berlin", path.to_str().unwrap(), BERLIN] {
            assert_eq!(july(Some(tz), none), 7200, "{tz}");
        }
        assert_eq!(july(Some("Europe/Nowhere"), &path), 0, "no file and no rule");
        assert_eq!(july(Some("Europe"), &path), 0, "a folder");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn damaged_files_are_refused() {
        let whole = file(BERLIN);
        for cut in 0..whole.len() - 1 {
            // without its last line end the rule is still whole; shorter than that, it says something else or nothing
            let zone = Zone::parse(&whole[..cut]);
            assert!(zone.is_none() || cut > whole.len() - BERLIN.len() - 2, "{cut}");
        }
        let unsorted = part::<4>(0, &[(5, 0), (4, 0)], &[0]);
        let no_such_kind = part::<4>(0, &[(5, 1)], &[0]);
        let too_far = part::<4>(0, &[], &[i32::MAX]);
        for wrong in [unsorted, no_such_kind, too_far, part::<4>(0, &[], &[])] {
            assert_eq!(Zone::parse(&wrong), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4), at: i64) {
            let mut bytes = file(BERLIN);
            let len = bytes.len();
            for (place, byte) in changes {
                bytes[place % len] = byte;
            }
            if let Some(zone) = Zone::parse(&bytes) {
                prop_assert!(zone.offset(at.clamp(0, 253_402_300_799)).abs() < 168 * HOUR);
            }
        }

        #[test]
        fn no_rule_does_harm(text in "[A-Z<]{0,4}-?[0-9:]{1,6}[A-Z>]{0,4}[-0-9]{0,3}(,[MJ]?[0-9.]{0,6}(/-?[0-9:]{1,6})?){0,2}", at in 0..253_402_300_799i64) {
            if let Some(rule) = rule(&text) {
                prop_assert!(rule.offset(at).abs() < 168 * HOUR);
            }
        }
    }
}
