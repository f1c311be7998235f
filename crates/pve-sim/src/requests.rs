//! The log of requests: bounded, readable by tests.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

/// How many requests are kept.
const KEPT: usize = 10_000;

/// One request as the simulator saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestRecord {
    /// Position in the order of arrival, from 1.
    pub sequence: u64,
    /// Virtual time of arrival, since the Unix epoch.
    pub at: Duration,
    /// The HTTP method.
    pub method: String,
    /// The decoded path below `/api2/json`.
    pub path: String,
    /// The decoded parameters, passwords masked.
    pub parameters: Value,
    /// `user@realm` or `user@realm!token`, when known.
    pub caller: Option<String>,
    /// The status of the answer; `None` while it is being worked on or when the connection was dropped.
    pub status: Option<u16>,
    /// The reason phrase of the answer.
    pub reason: String,
    /// Whether a writing call was carried out (its task may still fail).
    pub effect: bool,
    /// Whether a fault took part.
    pub faulty: bool,
    /// For a call that a fault carried out late: the sequence number of the request.
    pub late_of: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    records: VecDeque<RequestRecord>,
    next: u64,
}

impl RequestLog {
    /// Adds a record and returns its sequence number.
    pub fn add(&mut self, mut record: RequestRecord) -> u64 {
        self.next += 1;
        record.sequence = self.next;
        self.records.push_back(record);
        if self.records.len() > KEPT {
            self.records.pop_front();
        }
        self.next
    }

    /// A record, while it is kept.
    pub fn get_mut(&mut self, sequence: u64) -> Option<&mut RequestRecord> {
        let first = self.records.front()?.sequence;
        let index = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.records.get_mut(index)
    }

    pub fn all(&self) -> Vec<RequestRecord> {
        self.records.iter().cloned().collect()
    }
}
