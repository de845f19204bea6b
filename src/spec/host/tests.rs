use super::*;
use crate::spec::job::JobName;

fn job(rest: &str) -> JobSpec {
    JobSpec::from_canonical(&JobName::parse("job").unwrap(), &format!("{{{rest}}}")).unwrap()
}

fn program(name: &str, path: Option<&str>, working_dir: Option<&str>) -> ProgramName {
    ProgramName {
        name: name.to_owned(),
        path: path.map(str::to_owned),
        working_dir: working_dir.map(str::to_owned),
    }
}

#[test]
fn what_jobs_need_is_asked_once() {
    let jobs = [
        job(r#""command":["a","b"],"user":"etl","working_dir":"w""#),
        job(r#""command":["a"],"user":"etl","working_dir":"w""#),
        job(r#""command":["a"],"env":{"PATH":"/x"}"#),
        job(r#""command":["${env.TOOL}"]"#),
        job(r#""script":"x","shell":["bash","-c"]"#),
        job(r#""http":{"url":"https://example.com/"}"#),
    ];
    let expected = Questions {
        users: ["etl".to_owned()].into(),
        folders: ["w".to_owned()].into(),
        programs: [
            program("a", None, Some("w")),
            program("a", Some("/x"), None),
            program("bash", None, None),
        ]
        .into(),
    };
    assert_eq!(Questions::of(&jobs), expected);
}

#[test]
fn what_is_not_there_is_said_at_its_key_and_nothing_else_is() {
    let why = |key: &str| (key.to_owned(), "why".to_owned());
    let facts = HostFacts {
        users: [why("etl")].into(),
        folders: [why("gone")].into(),
        programs: [(program("a", None, None), "why".to_owned())].into(),
        limits: [("memory", "why".to_owned())].into(),
        files_max: Some(64),
    };
    for (rest, expected) in [
        (r#""command":["b"]"#, vec![]),
        (r#""command":["a"]"#, vec![("E0332", "command", "`a` cannot be started here: why")]),
        // Another PATH is another question.
        (r#""command":["a"],"env":{"PATH":"/x"}"#, vec![]),
        (
            r#""script":"x","shell":["a","-c"]"#,
            vec![("E0332", "shell", "`a` cannot be started here: why")],
        ),
        (r#""command":["b"],"user":"etl""#, vec![("E0331", "user", "why")]),
        (
            r#""command":["b"],"working_dir":"gone""#,
            vec![("E0333", "working_dir", "nothing begins in `gone` here: why")],
        ),
        (
            r#""command":["b"],"limits":{"cpu":2,"memory":"1GiB","pids":9,"files":64}"#,
            vec![("W0331", "limits.memory", "why")],
        ),
        (
            r#""command":["b"],"limits":{"files":65}"#,
            vec![(
                "W0331",
                "limits.files",
                "`limits.files` is 65, and 64 is allowed here (`ulimit -Hn`)",
            )],
        ),
    ] {
        let found = lacks(&job(rest), &facts);
        let found: Vec<_> = found
            .iter()
            .map(|lack| (lack.code, lack.keys.join("."), lack.message.clone()))
            .collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(code, keys, message): (&str, &str, &str)| {
                (code, keys.to_owned(), message.to_owned())
            })
            .collect();
        assert_eq!(found, expected, "{rest}");
        assert_eq!(lacks(&job(rest), &HostFacts::default()), [], "{rest}");
    }
}
