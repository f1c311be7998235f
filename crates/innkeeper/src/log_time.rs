//! The times of the log, in the zone that was asked for.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// How times are written: RFC 3339 with the zone's offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTime(TimeZone);

impl Default for LogTime {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl LogTime {
    /// The zone of this name, as this machine's zone data base has it.
    ///
    /// # Errors
    /// What was expected, when there is none of this name.
    pub fn parse(name: &str) -> Result<Self, String> {
        if name.eq_ignore_ascii_case("utc") {
            return Ok(Self::default());
        }
        let unknown = || {
            format!(
                "expected a time zone that this machine knows, such as Europe/Paris, got {name:?}"
            )
        };
        TimeZone::get(name).map(Self).map_err(|_| unknown())
    }

    /// The present time.
    pub fn now(&self) -> String {
        self.text(Timestamp::now())
    }

    fn text(&self, at: Timestamp) -> String {
        let format = match self.0 == TimeZone::UTC {
            true => "%Y-%m-%dT%H:%M:%S%.3fZ",
            false => "%Y-%m-%dT%H:%M:%S%.3f%:z",
        };
        at.to_zoned(self.0.clone()).strftime(format).to_string()
    }
}

impl FormatTime for LogTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&self.now())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_written_with_the_offset_of_their_zone() {
        let at: Timestamp = "2022-07-01T10:00:00.5Z".parse().unwrap();
        assert_eq!(LogTime::default().text(at), "2022-07-01T10:00:00.500Z");
        let east = LogTime(TimeZone::fixed(jiff::tz::offset(2)));
        assert_eq!(east.text(at), "2022-07-01T12:00:00.500+02:00");
        assert!(LogTime::parse("Mars/Olympus").unwrap_err().contains("expected a time zone"));
        assert_eq!(LogTime::parse("UTC").unwrap(), LogTime::default());
    }
}
