//! How long 10,000 jobs in 1,000 files take from text to job specs: `cargo bench --bench validate`.
//! The bar is 0.5 s on two cores; a file alone, 20 ms.

use cronwright::spec::manifest::{Content, Known, Loader, ManifestFile, load};

fn main() {
    divan::main();
}

const FILES: usize = 1_000;
const JOBS_PER_FILE: usize = 10;

/// A job of each kind of task and trigger that people write, in turn.
fn yaml_job(number: usize) -> String {
    let (minute, hour) = (number % 60, number % 24);
    match number % 4 {
        0 => format!(
            "  job-{number}:\n    cron: \"{minute} {hour} * * mon-fri\"\n    command: /opt/bin/load --number {number} --mode 'full run'\n"
        ),
        1 => format!(
            "  job-{number}:\n    description: Load number {number}\n    triggers:\n      - cron: \"{minute} */2 * * *\"\n        timezone: Europe/Berlin\n      - interval: 6h\n        anchor: \"2026-01-01T01:00:00\"\n    command: [/opt/bin/load, --number, \"{number}\"]\n    env: {{ PGHOST: db.internal, NUMBER: \"{number}\" }}\n    timeout: 45m\n    misfire: {{ grace_time: 6h, coalesce: true }}\n"
        ),
        2 => format!(
            "  job-{number}:\n    cron: \"@daily\"\n    script: |\n      set -e\n      echo number {number}\n      pg_dump shop | zstd > /backup/{number}.sql.zst\n    shell: [bash, -c]\n    overlap: skip\n"
        ),
        _ => format!(
            "  job-{number}:\n    interval: {}s\n    command: [curl, -fsS, \"https://api.example.com/{number}\"]\n    output: {{ max_size: 64KiB }}\n",
            number % 3_000 + 10
        ),
    }
}

fn toml_job(number: usize) -> String {
    format!(
        "[jobs.job-{number}]\ncron = \"{} {} * * *\"\ntimezone = \"Asia/Shanghai\"\ncommand = [\"/opt/bin/load\", \"--number\", \"{number}\"]\ntimeout = \"45m\"\nenv = {{ PGHOST = \"db.internal\" }}\nmisfire = {{ grace_time = \"6h\" }}\n\n",
        number % 60,
        number % 24
    )
}

/// Every fifth file is TOML.
fn file(number: usize) -> ManifestFile {
    let is_toml = number.is_multiple_of(5);
    let jobs = (number * JOBS_PER_FILE..).take(JOBS_PER_FILE);
    let (extension, text) = if is_toml {
        ("toml", jobs.map(toml_job).collect::<String>())
    } else {
        let jobs = jobs.map(yaml_job).collect::<String>();
        ("yaml", format!("defaults:\n  timezone: Asia/Shanghai\njobs:\n{jobs}"))
    };
    ManifestFile {
        path: format!("jobs.d/{}/{number}.{extension}", number % 50).into(),
        source: "jobs.d".into(),
        content: Content::Bytes(text.into_bytes().into()),
    }
}

#[divan::bench(sample_count = 20)]
fn ten_thousand_jobs_in_a_thousand_files(bencher: divan::Bencher<'_, '_>) {
    let files: Vec<_> = (0..FILES).map(file).collect();
    bencher.bench(|| {
        let loaded = load(&files, &Known::default());
        assert_eq!((loaded.jobs.len(), loaded.has_errors()), (FILES * JOBS_PER_FILE, false));
        loaded
    });
}

/// What a reload costs when one file changed: the others are not read again.
#[divan::bench(sample_count = 20)]
fn one_edited_file_among_a_thousand(bencher: divan::Bencher<'_, '_>) {
    let mut files: Vec<_> = (0..FILES).map(file).collect();
    let mut loader = Loader::default();
    loader.load(&files, &Known::default());
    let mut edits = 0;
    bencher.bench_local(|| {
        edits += 1;
        let text = format!("jobs: {{ edited: {{ command: [echo, \"{edits}\"] }} }}");
        files[1].content = Content::Bytes(text.into_bytes().into());
        loader.load(&files, &Known::default())
    });
}

/// The same among ten times as many files, of one job each.
#[divan::bench(sample_count = 20)]
fn one_edited_file_among_ten_thousand(bencher: divan::Bencher<'_, '_>) {
    let file = |number: usize, text: String| ManifestFile {
        path: format!("jobs.d/{number}.yaml").into(),
        source: "jobs.d".into(),
        content: Content::Bytes(text.into_bytes().into()),
    };
    let jobs = (0..FILES * JOBS_PER_FILE).map(|number| (number, yaml_job(number)));
    let mut files: Vec<_> =
        jobs.map(|(number, job)| file(number, format!("jobs:\n{job}"))).collect();
    let mut loader = Loader::default();
    loader.load(&files, &Known::default());
    let mut edits = 0;
    bencher.bench_local(|| {
        edits += 1;
        let text = format!("jobs: {{ edited: {{ command: [echo, \"{edits}\"] }} }}");
        files[1].content = Content::Bytes(text.into_bytes().into());
        loader.load(&files, &Known::default())
    });
}

#[divan::bench]
fn one_file(bencher: divan::Bencher<'_, '_>) {
    let files = [file(1)];
    bencher.bench(|| load(&files, &Known::default()));
}
