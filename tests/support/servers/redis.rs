//! redis-server, with or without password and append-only file.

use super::fetch;
use super::process::{End, Server};

/// How a redis-server is started.
#[derive(Debug, Clone, Default)]
pub(crate) struct RedisOptions {
    /// Asked of every client. Written into URLs as it is: no characters that need escaping.
    pub(crate) password: Option<&'static str>,
    /// Whether what was acknowledged survives a kill.
    pub(crate) append_only: bool,
}

/// A redis-server 6.2 or newer.
#[derive(Debug)]
pub(crate) struct Redis {
    server: Server,
    password: Option<&'static str>,
}

impl Redis {
    pub(super) fn launch(options: &RedisOptions) -> Result<Self, String> {
        let program = fetch::redis_server()?;
        let server = Server::start(&program, |folder, port| {
            let append_only = if options.append_only { "yes" } else { "no" };
            let (port, folder) = (port.to_string(), folder.display().to_string());
            let mut arguments = vec!["--port", &port, "--bind", "127.0.0.1", "--dir", &folder];
            arguments.extend(["--save", "", "--appendonly", append_only, "--appendfsync", "no"]);
            if let Some(password) = options.password {
                arguments.extend(["--requirepass", password]);
            }
            Ok(arguments.into_iter().map(str::to_owned).collect())
        })?;
        Ok(Self { server, password: options.password })
    }

    /// The URL of one of its 16 databases, with the password when it asks for one.
    pub(crate) fn url(&self, database: u8) -> String {
        let port = self.server.port();
        match self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{port}/{database}"),
            None => format!("redis://127.0.0.1:{port}/{database}"),
        }
    }

    /// The same URL without the password.
    pub(crate) fn url_without_password(&self, database: u8) -> String {
        format!("redis://127.0.0.1:{}/{database}", self.server.port())
    }

    /// Ends it; its append-only file stays. Returns when it is gone.
    pub(crate) fn end(&mut self, how: End) {
        self.server.end(how);
    }

    /// Starts it again on the same port. Returns when it listens.
    pub(crate) fn start_again(&mut self) {
        if let Err(error) = self.server.start_again() {
            panic!("{error}");
        }
    }

    /// It hangs: connections stay open, nothing is answered.
    pub(crate) fn pause(&self) {
        self.server.pause();
    }

    /// It goes on.
    pub(crate) fn resume(&self) {
        self.server.resume();
    }
}
