//! Why a run ends without a report.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// What went wrong, in words that name the file and, where there is one, the line.
#[derive(Debug)]
pub enum Failure {
    /// The input or the system is to blame: exit code 1.
    Input(String),
    /// The map or this program is to blame: exit code 2.
    Broken(String),
}

impl Failure {
    /// A file that can't be read, written or understood.
    pub fn in_file(file: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Failure::Input(format!("{file}: {reason}"))
    }

    /// A line (counted from 1) that can't be understood.
    pub fn at_line(file: impl fmt::Display, line: u64, reason: impl fmt::Display) -> Self {
        Failure::Input(format!("{file}:{line}: {reason}"))
    }

    /// The exit code that says who is to blame.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Input(_) => ExitCode::from(1),
            Failure::Broken(_) => ExitCode::from(2),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Input(reason) => f.write_str(reason),
            Failure::Broken(reason) => write!(f, "internal: {reason}"),
        }
    }
}

/// The result of writing to `path`, where a reader who has seen enough (`| head`) is no failure.
pub fn unless_reader_left(path: &Path, written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::in_file(path.display(), error)),
        _ => Ok(()),
    }
}
