//! mongod as a replica set of one (change streams need one), with or without authentication, or alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;

use super::fetch;
use super::process::{End, Server};

/// The user of a mongod with authentication, and its password: with characters that a URL must
/// escape.
const USER: &str = "keeper";
const PASSWORD: &str = "p@ss/w:rd%";
const PASSWORD_IN_URL: &str = "p%40ss%2Fw%3Ard%25";

/// How long a new replica set may take to elect its only member.
const PRIMARY_WITHIN: Duration = Duration::from_secs(30);

/// How a mongod is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setup {
    /// A replica set of one.
    ReplicaSet,
    /// A replica set of one that lets nobody in without user and password.
    Authenticated,
    /// No replica set.
    Standalone,
}

/// A mongod 6.0 with a replica set of one.
#[derive(Debug)]
pub(crate) struct Mongod {
    server: Server,
    setup: Setup,
}

impl Mongod {
    pub(super) fn launch(setup: Setup) -> Result<Self, String> {
        let program = fetch::mongod()?;
        let server = Server::start(&program, |folder, port| arguments(folder, port, setup))?;
        let mongod = Self { server, setup };
        let port = mongod.server.port();
        // A thread of its own: the caller may stand inside a runtime already.
        let initiated = std::thread::spawn(move || initiate(port, setup)).join();
        initiated.map_err(|_| "the thread that initiates the replica set panicked")??;
        Ok(mongod)
    }

    /// The URL of a database on it, with user and password when it asks for them.
    pub(crate) fn url(&self, database: &str) -> String {
        let port = self.server.port();
        match self.setup {
            Setup::Standalone => format!("mongodb://127.0.0.1:{port}/{database}"),
            Setup::ReplicaSet => self.url_without_password(database),
            Setup::Authenticated => format!(
                "mongodb://{USER}:{PASSWORD_IN_URL}@127.0.0.1:{port}/{database}\
                 ?replicaSet=rs0&authSource=admin"
            ),
        }
    }

    /// The same URL without user and password.
    pub(crate) fn url_without_password(&self, database: &str) -> String {
        format!("mongodb://127.0.0.1:{}/{database}?replicaSet=rs0", self.server.port())
    }

    /// Ends it; its data stay. Returns when it is gone.
    pub(crate) fn end(&mut self, how: End) {
        self.server.end(how);
    }

    /// Starts it again, on the same port with the same data. Returns when it listens, which is
    /// before it has elected itself.
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

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }
}

fn arguments(folder: &Path, port: u16, setup: Setup) -> Result<Vec<String>, String> {
    let data = folder.join("data");
    fs::create_dir_all(&data)
        .map_err(|error| format!("cannot make {}: {error}", data.display()))?;
    let text = |path: &Path| path.display().to_string();
    let mut arguments = vec![
        "--port".to_owned(),
        port.to_string(),
        "--bind_ip".to_owned(),
        "127.0.0.1".to_owned(),
        "--dbpath".to_owned(),
        text(&data),
        "--oplogSize".to_owned(),
        "128".to_owned(),
        "--wiredTigerCacheSizeGB".to_owned(),
        "0.25".to_owned(),
        "--nounixsocket".to_owned(),
        "--setParameter".to_owned(),
        "diagnosticDataCollectionEnabled=false".to_owned(),
        // A primary that is asked to end would wait for secondaries that do not exist.
        "--setParameter".to_owned(),
        "shutdownTimeoutMillisForSignaledShutdown=100".to_owned(),
        // Tests make it fail on purpose (`configureFailPoint`).
        "--setParameter".to_owned(),
        "enableTestCommands=1".to_owned(),
    ];
    if setup != Setup::Standalone {
        arguments.extend(["--replSet".to_owned(), "rs0".to_owned()]);
    }
    if setup == Setup::Authenticated {
        let key = folder.join("key");
        fs::write(&key, "c2V2ZW4gbWVtYmVycyBvZiBubyBzZXQ=\n")
            .and_then(|()| fs::set_permissions(&key, fs::Permissions::from_mode(0o600)))
            .map_err(|error| format!("cannot write {}: {error}", key.display()))?;
        arguments.extend(["--auth".to_owned(), "--keyFile".to_owned(), text(&key)]);
    }
    Ok(arguments)
}

/// Makes the replica set, waits for its primary, makes the user.
fn initiate(port: u16, setup: Setup) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let set_up = async {
        let url = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
        let client = Client::with_options(ClientOptions::parse(url).await?)?;
        let admin = client.database("admin");
        if setup == Setup::Standalone {
            return Ok(());
        }
        let member = doc! { "_id": 0, "host": format!("127.0.0.1:{port}") };
        let set = doc! { "_id": "rs0", "members": [member] };
        admin.run_command(doc! { "replSetInitiate": set }).await?;
        while !writable(&admin.run_command(doc! { "hello": 1 }).await?) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if setup == Setup::Authenticated {
            // The first user may be made from the same machine without a password.
            let user = doc! { "createUser": USER, "pwd": PASSWORD, "roles": ["root"] };
            admin.run_command(user).await?;
        }
        Ok::<(), mongodb::error::Error>(())
    };
    match runtime.block_on(async { tokio::time::timeout(PRIMARY_WITHIN, set_up).await }) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("cannot make a replica set: {error}")),
        Err(_) => Err(format!("mongod elected no primary within {PRIMARY_WITHIN:?}")),
    }
}

fn writable(hello: &Document) -> bool {
    hello.get_bool("isWritablePrimary").unwrap_or(false)
}
