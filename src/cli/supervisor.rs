//! `supervisor`: the small process that owns the processes of jobs. Started by the daemon, not by people.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::exit::{Exit, Failure};
use crate::supervisor::{LEAVE_AFTER, Options, run};

/// Arguments of `supervisor`; the state directory is the global flag.
#[derive(Debug, Args)]
pub(super) struct SupervisorArgs {
    /// Leave after so long without a daemon and without a process.
    #[arg(long, value_name = "MILLISECONDS")]
    leave_after_ms: Option<u64>,
}

pub(super) fn supervisor(
    args: &SupervisorArgs,
    state_dir: Option<PathBuf>,
) -> Result<ExitCode, Failure> {
    let Some(state_dir) = state_dir else {
        return Err(Failure::new(Exit::Usage, "`supervisor` needs `--state-dir`"));
    };
    let leave_after = args.leave_after_ms.map_or(LEAVE_AFTER, Duration::from_millis);
    Ok(run(&Options { state_dir, leave_after }))
}
