//! Every fixed bound of weir in one place, with the argument for its size.
//! Bounds an operator may want to move are configuration; these are not.

/// Bytes of one data buffer. A head, a small body or one bulk read fits.
pub const BUFFER_BYTES: usize = 16 * 1024;

/// Bytes one continuous receive may bring before it must be asked for again, where the kernel can
/// bound it: what a connection may overshoot before it is held back or changes to splice.
pub const RECEIVE_BYTES_MAX: usize = 4 * BUFFER_BYTES;

/// Worker cores of one node; per-core counters are allocated for this many at most.
pub const CORES_MAX: usize = 256;

/// Messages in flight from the control thread to one worker, two of them the orders of its end.
/// Tables are rare; as many without an answer mean that the worker is stuck, and the control
/// thread then refuses rather than queues.
pub const TO_WORKER_MAX: usize = 64;

/// Messages in flight from one worker to the control thread: an answer to every table on its way
/// and the last word; the rest is for tables that go back, and those can wait.
pub const FROM_WORKER_MAX: usize = 4 * TO_WORKER_MAX;

/// Bytes of one core's access log ring. A record is about 280 bytes, so 3,700 of them fit: 40 ms
/// of a core that serves 100,000 requests a second. Larger would only cost cache.
pub const LOG_RING_BYTES: usize = 1024 * 1024;

/// Bytes of one text (target, host, user agent, referer) in the access log; the rest is cut.
pub const LOG_TEXT_BYTES_MAX: usize = 4096;

/// Bytes of formatted lines gathered before they are written to the access log.
pub const LOG_BATCH_BYTES: usize = 128 * 1024;

/// Bytes of spans gathered before they go to the collector: about sixty requests.
pub const SPANS_BATCH_BYTES: usize = 128 * 1024;

/// Batches of spans that wait for the collector; further ones are dropped and counted.
pub const SPANS_WAITING_MAX: usize = 8;

/// Names one file of decisions knows before it begins to number them anew.
pub const DECISION_NAMES_MAX: usize = 65_536;

/// Connections of one core that are told to whoever asks: enough to see what is going on, and
/// little enough for one housekeeping of a worker.
pub const SURVEY_ROWS_MAX: usize = 256;

/// Connections to the admin interface at one time; further ones wait in the backlog.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;

/// Longest shard key a rule may allow. Keys are identifiers; a longer one is looked up nowhere, and
/// the room for one is on the stack of every request that needs it.
pub const SHARD_KEY_BYTES_MAX: usize = 1024;

/// Bytes of one request body to the admin interface: a group of ten thousand backends, each with
/// everything said, has about two million.
pub const ADMIN_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Changes that wait for the control loop; further ones are refused.
pub const CHANGES_MAX: usize = 64;

/// Active checks under way at one time; more wait. Each is a connection and a task of the control
/// thread.
pub const CHECKS_MAX: usize = 256;

/// Probes of load under way at one time; what is due beyond is left out, and asked in a later turn.
pub const PROBES_MAX: usize = 256;

/// Bytes of a page of metrics of a backend.
pub const SCRAPE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a body an active check looks at.
pub const CHECK_BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of one heartbeat as a datagram: its members, and long names.
pub const HEARTBEAT_BYTES_MAX: usize = 2048;

/// Steps of a JSON pointer; documents that are sharded by are flat.
pub const SHARD_POINTER_TOKENS_MAX: usize = 32;

/// Bytes a compiled regular expression of a route may take.
pub const REGEX_BYTES_MAX: usize = 256 * 1024;

/// The expression that matches what `pattern` matches as a whole: from the beginning to the end.
#[must_use]
pub fn whole_pattern(pattern: &str) -> String {
    format!("\\A(?:{pattern})\\z")
}

const _: () = assert!(FROM_WORKER_MAX >= 2 * TO_WORKER_MAX + 2);
// Every record fits its ring many times over: five texts and the numbers.
const _: () = assert!(LOG_RING_BYTES >= 16 * (5 * (LOG_TEXT_BYTES_MAX + 2) + 256));
