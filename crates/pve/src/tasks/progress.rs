//! How far a task is, where its log says so.

use super::LogLine;

impl LogLine {
    /// How far the task is by this line, 0 to 100 percent. Several disks count
    /// one after the other, each from 0.
    ///
    /// Read are the lines of clones, moves and imports (`transferred 1.2 GiB of
    /// 3.0 GiB (41.60%)`, with or without a drive before and a time behind), of
    /// backups (`INFO:  12% (1.2 GiB of 10.0 GiB) in 3s, …`) and of restores
    /// (`progress 12% (read … bytes, duration 3 sec)`). Those of clones and moves
    /// were recorded on 8.4 and 9.2; those of backups and restores are from
    /// memory.
    pub fn percent(&self) -> Option<f64> {
        percent(&self.t)
    }
}

fn percent(text: &str) -> Option<f64> {
    let (head, rest) = text.split_once('%')?;
    let digits = head.rfind(|c: char| !c.is_ascii_digit() && c != '.').map_or(0, |at| {
        // The character is not one of ours: skip it as a whole.
        at + head[at..].chars().next().map_or(1, char::len_utf8)
    });
    let (before, number) = head.split_at(digits);
    let known = match before {
        _ if before.ends_with('(') => before.contains("transferred ") && rest.starts_with(')'),
        "progress " => true,
        _ => before.strip_prefix("INFO:").is_some_and(|rest| rest.trim().is_empty()),
    };
    let number: f64 = number.parse().ok().filter(|_| known)?;
    (0.0..=100.0).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentages_are_read_where_they_tell_of_progress() {
        for (text, value) in [
            ("transferred 1019.1 MiB of 1.5 GiB (67.94%)", Some(67.94)),
            ("transferred 0.0 B of 3.0 GiB (0.00%)", Some(0.0)),
            ("drive-scsi0: transferred 3.0 GiB of 3.0 GiB (100.00%) in 2s, ready", Some(100.0)),
            ("INFO:   7% (753.0 MiB of 10.0 GiB) in 3s, read: 251.0 MiB/s", Some(7.0)),
            ("progress 42% (read 1803812864 bytes, duration 3 sec)", Some(42.0)),
            ("create full clone of drive scsi0 (local:9000%2Fbase)", None),
            ("INFO: backup is sparse: 5.21 GiB (52%) total zero data", None),
            ("transferred 9 of 3 (300.00%)", None),
            ("TASK OK", None),
            ("%", None),
        ] {
            assert_eq!(percent(text), value, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_line_gives_a_percentage_or_nothing(text in "(transferred |INFO:|progress |\\PC){0,4}[0-9.(]{0,8}%?\\PC{0,4}") {
            if let Some(value) = percent(&text) {
                prop_assert!((0.0..=100.0).contains(&value));
            }
        }
    }
}
