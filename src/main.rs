//! The program: hands its arguments to the verb they name.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use cronwright::supervisor;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some("supervisor") {
        return ExitCode::from(2);
    }
    let mut options =
        supervisor::Options { state_dir: PathBuf::new(), leave_after: supervisor::LEAVE_AFTER };
    while let (Some(flag), Some(value)) = (arguments.next(), arguments.next()) {
        match (flag.as_str(), value.parse()) {
            ("--state-dir", _) => options.state_dir = value.into(),
            ("--leave-after-ms", Ok(ms)) => options.leave_after = Duration::from_millis(ms),
            _ => return ExitCode::from(2),
        }
    }
    supervisor::run(&options)
}
