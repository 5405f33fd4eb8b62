//! Numbers for people.

use std::time::Duration;

/// `637.8 MB`, `16.1 GB`: decimal units, as disks and model cards count.
pub(crate) fn bytes(n: f64) -> String {
    scaled(n, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// `260.0 K`, `8.03 B`: a count of parameters.
pub(crate) fn count(n: u128) -> String {
    scaled(n as f64, 1000.0, &["", "K", "M", "B", "T"]).trim_end().to_owned()
}

/// `0.8 ms`, `340 ms`, `2.1 s`.
pub(crate) fn seconds(time: Duration) -> String {
    match time.as_secs_f64() * 1e3 {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

fn scaled(n: f64, step: f64, units: &[&str]) -> String {
    let (mut value, mut unit) = (n, 0);
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    match (unit, value) {
        (0, v) => format!("{v:.0} {}", units[0]),
        (u, v) if v < 10.0 => format!("{v:.2} {}", units[u]),
        (u, v) => format!("{v:.1} {}", units[u]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_the_familiar_ones() {
        assert_eq!(bytes(999.0), "999 B");
        assert_eq!(bytes(637_800_000.0), "637.8 MB");
        assert_eq!(count(8_030_261_248), "8.03 B");
        assert_eq!(count(12), "12");
        assert_eq!(seconds(Duration::from_micros(840)), "0.8 ms");
        assert_eq!(seconds(Duration::from_millis(340)), "340 ms");
        assert_eq!(seconds(Duration::from_millis(2140)), "2.1 s");
    }
}
