//! Names and times of backups.

use crate::world::guest::Kind;

/// A time of the calendar, in UTC, which is the simulated hosts' time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub year: i64,
    pub month: u64,
    pub day: u64,
    /// Seconds since midnight.
    pub second: u64,
}

impl Date {
    /// The date of a time in seconds since 1970. Source of the arithmetic: the
    /// proleptic Gregorian calendar in eras of 400 years.
    pub fn of(time: u64) -> Self {
        let days = i64::try_from(time / 86_400).unwrap_or(0) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month: month.unsigned_abs(), day: day.unsigned_abs(), second: time % 86_400 }
    }

    /// Seconds since 1970 of a date; the inverse of [`Date::of`].
    fn time(&self) -> u64 {
        let month = i64::try_from(self.month).unwrap_or(1);
        let shifted = if month > 2 { month - 3 } else { month + 9 };
        let year = self.year - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * shifted + 2) / 5 + i64::try_from(self.day).unwrap_or(1) - 1;
        let days = of_era * 365 + of_era / 4 - of_era / 100 + of_year + era * 146_097 - 719_468;
        u64::try_from(days).unwrap_or(0) * 86_400 + self.second
    }

    fn clock(&self) -> (u64, u64, u64) {
        (self.second / 3600, self.second / 60 % 60, self.second % 60)
    }

    /// `2026-11-20 17:12:10`, as logs have it.
    pub fn log(&self) -> String {
        let (hour, minute, second) = self.clock();
        let Self { year, month, day, .. } = self;
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }

    /// `2026_11_20-17_12_10`, as names have it.
    fn name(&self) -> String {
        let (hour, minute, second) = self.clock();
        let Self { year, month, day, .. } = self;
        format!("{year:04}_{month:02}_{day:02}-{hour:02}_{minute:02}_{second:02}")
    }
}

/// `vzdump-qemu-100-2026_11_20-10_00_00.vma.zst`
pub(super) fn archive(kind: Kind, vmid: u32, time: u64, compress: &str) -> String {
    let time = Date::of(time).name();
    format!("vzdump-{}-{vmid}-{time}.{}", kind.word(), format(kind, compress))
}

/// The format that content listings show: `vma.zst`, `tar.gz`, …
pub(super) fn format(kind: Kind, compress: &str) -> String {
    let base = match kind {
        Kind::Qemu => "vma",
        Kind::Lxc => "tar",
    };
    match compress {
        "zstd" => format!("{base}.zst"),
        "gzip" => format!("{base}.gz"),
        "1" | "lzo" => format!("{base}.lzo"),
        _ => base.to_owned(),
    }
}

/// What an archive's name says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub kind: Kind,
    pub vmid: u32,
    pub time: u64,
    pub format: String,
}

/// Reads a name as [`archive`] makes it.
pub(super) fn parse(name: &str) -> Option<Name> {
    let rest = name.strip_prefix("vzdump-")?;
    let (kind, rest) = match (rest.strip_prefix("qemu-"), rest.strip_prefix("lxc-")) {
        (Some(rest), _) => (Kind::Qemu, rest),
        (_, Some(rest)) => (Kind::Lxc, rest),
        _ => return None,
    };
    let (vmid, rest) = rest.split_once('-')?;
    let (time, format) = rest.split_once('.')?;
    let numbers: Option<Vec<u64>> =
        time.split(['_', '-']).map(|number| number.parse().ok()).collect();
    let [year, month, day, hour, minute, second] = numbers?[..] else { return None };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    let year = i64::try_from(year).ok().filter(|year| (1970..10_000).contains(year))?;
    let date = Date { year, month, day, second: hour * 3600 + minute * 60 + second.min(59) };
    Some(Name { kind, vmid: vmid.parse().ok()?, time: date.time(), format: format.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_carries_its_kind_guest_time_and_compression() {
        let time = 1_795_194_730;
        assert_eq!(
            archive(Kind::Lxc, 510, time, "gzip"),
            "vzdump-lxc-510-2026_11_20-17_12_10.tar.gz"
        );
        assert_eq!(
            archive(Kind::Qemu, 100, time, "zstd"),
            "vzdump-qemu-100-2026_11_20-17_12_10.vma.zst"
        );
        assert_eq!(archive(Kind::Qemu, 100, 0, "0"), "vzdump-qemu-100-1970_01_01-00_00_00.vma");
    }

    #[test]
    fn names_are_read_as_they_are_made() {
        for time in [0, 951_782_400, 1_709_251_199, 1_795_194_730] {
            let name = archive(Kind::Qemu, 101, time, "zstd");
            let format = "vma.zst".to_owned();
            assert_eq!(parse(&name), Some(Name { kind: Kind::Qemu, vmid: 101, time, format }));
        }
        for text in ["", "vzdump-qemu-1.vma", "vzdump-qemu-1-2026_99_01-00_00_00.vma", "x.iso"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn leap_days_are_days() {
        assert_eq!(Date::of(951_782_400).log(), "2000-02-29 00:00:00");
        assert_eq!(Date::of(1_709_251_199).log(), "2024-02-29 23:59:59");
        assert_eq!(Date::of(4_107_542_400).log(), "2100-03-01 00:00:00");
    }
}
