//! Memory, where the system tells.

use std::fs;

/// What is resident now, mapped weights included.
pub(crate) fn resident() -> Option<u64> {
    field("/proc/self/status", "VmRSS:")
}

/// The most that was resident so far, mapped weights included.
pub(crate) fn peak() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// What programs may still take without anybody's being put aside.
pub(crate) fn available() -> Option<u64> {
    field("/proc/meminfo", "MemAvailable:")
}

/// The largest cache of the first core.
pub(crate) fn largest_cache() -> Option<u64> {
    let size = |i| fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{i}/size")).ok();
    (0..8).map_while(size).filter_map(|text| kibibytes(text.trim().strip_suffix('K')?)).max()
}

/// Bytes of a line such as `VmRSS:     1234 kB`.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    kibibytes(line.trim().strip_suffix("kB")?)
}

fn kibibytes(text: &str) -> Option<u64> {
    text.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_in_bytes() {
        assert_eq!(kibibytes(" 36608"), Some(37_486_592));
        assert_eq!((kibibytes("4M"), kibibytes(&u64::MAX.to_string())), (None, None));
        if cfg!(target_os = "linux") {
            let (now, most) = (resident().unwrap(), peak().unwrap());
            assert!(now > 1 << 20 && most > 1 << 20 && available().is_some_and(|n| n > 1 << 20), "{now} {most}");
        }
    }
}
