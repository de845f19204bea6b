//! Named places at which a test kills the daemon. Nothing of it is in a release build.

/// Kills this process on the spot, as `kill -9` would, when `CRONWRIGHT_TEST_FAILPOINT` is `<name>` or
/// `<name>=<n>` for the n-th time it comes here. Only in builds with debug assertions.
pub(super) fn failpoint(name: &str) {
    #[cfg(debug_assertions)]
    armed::kill_at(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Every name, for the test that walks through them.
pub const FAILPOINTS: [&str; 9] = [
    "recovered",
    "before_plan",
    "after_plan",
    "before_claim",
    "after_claim",
    "before_start",
    "after_start",
    "before_record",
    "after_record",
];

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The name and how often it may still be passed.
    static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();

    pub(super) fn kill_at(name: &str) {
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var_os("CRONWRIGHT_TEST_FAILPOINT")?.into_string().ok()?;
            let (name, times) = text.split_once('=').unwrap_or((&text, "1"));
            Some((name.to_owned(), AtomicU64::new(times.parse().unwrap_or(1))))
        });
        if let Some((armed_name, left)) = armed
            && armed_name == name
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            // A process can always signal itself.
            let own_pid = rustix::process::getpid();
            rustix::process::kill_process(own_pid, rustix::process::Signal::KILL).ok();
        }
    }
}
