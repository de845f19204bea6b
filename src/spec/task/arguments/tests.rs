use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::*;

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only shown")]
struct Report {
    name: String,
    count: u32,
    #[serde(default)]
    lang: Option<String>,
    #[serde(default)]
    mode: Mode,
}

#[derive(Debug, Default, Deserialize)]
#[expect(dead_code, reason = "only shown")]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Full,
    Delta,
    Since(i64),
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only shown")]
struct Wrapped(i64);

fn told<A: DeserializeOwned + Debug>(args: &str) -> String {
    let call = Call::parse(&format!("a.B({args})")).unwrap();
    match read::<A>(&call) {
        Ok(arguments) => format!("{arguments:?}"),
        Err(misfit) => format!("{:?}: {misfit}", misfit.part),
    }
}

#[test]
fn a_tuple_takes_arguments_by_position() {
    type Seed = (String, i64, bool);
    for (args, expected) in [
        ("\"kinit\", 1314, True", "(\"kinit\", 1314, true)"),
        ("\"kinit\", 1314", "Path: it takes 3 arguments, and there are 2"),
        ("\"kinit\", 1314, True, 1", "Position(3): it takes 3 by position, and this is one more"),
        ("\"kinit\", \"1314\", True", "Position(1): i64 is taken, and this is string \"1314\""),
        ("\"kinit\", 2.5, True", "Position(1): i64 is taken, and this is floating point `2.5`"),
        ("\"kinit\", 1314, None", "Position(2): a boolean is taken, and this is unit value"),
        (
            "\"kinit\", 1314, flag=True",
            "Named(0): it takes arguments by position only, and `flag` is a name",
        ),
    ] {
        assert_eq!(told::<Seed>(args), expected, "({args})");
    }
    assert_eq!(told::<(f64,)>("7"), "(7.0,)");
    assert_eq!(told::<(u8,)>("256"), "Position(0): u8 is taken, and this is integer `256`");
    assert_eq!(told::<(i128,)>("170141183460469231731687303715884105727").len(), 42);
}

#[test]
fn a_struct_takes_arguments_by_position_and_by_name() {
    for (args, expected) in [
        ("\"sales\", 7", "Report { name: \"sales\", count: 7, lang: None, mode: Full }"),
        (
            "\"sales\", mode=\"delta\", count=7, lang=\"zh\"",
            "Report { name: \"sales\", count: 7, lang: Some(\"zh\"), mode: Delta }",
        ),
        (
            "\"sales\", 7, None, {\"since\": 5}",
            "Report { name: \"sales\", count: 7, lang: None, mode: Since(5) }",
        ),
        ("\"sales\"", "Path: the argument `count` is missing"),
        ("\"sales\", 7, name=\"x\"", "Named(0): `name` is given by position already"),
        ("\"sales\", 7, lnag=\"x\"", "Named(0): it takes no `lnag`; did you mean `lang`?"),
        ("\"sales\", 7, other=1", "Named(0): it takes no argument `other`"),
        ("\"sales\", count=-1", "Named(0): u32 is taken, and this is integer `-1`"),
        (
            "\"sales\", 7, mode=\"none\"",
            "Named(0): unknown variant `none`, expected one of `full`, `delta`, `since`",
        ),
        (
            "\"sales\", 7, mode=1",
            "Named(0): one of `full`, `delta`, `since` is taken, and this is a whole number",
        ),
    ] {
        assert_eq!(told::<Report>(args), expected, "({args})");
    }
}

#[test]
fn other_types_take_what_they_can_hold() {
    assert_eq!(told::<()>(""), "()");
    assert_eq!(told::<()>("1"), "Position(0): it takes none by position, and this is one more");
    assert_eq!(told::<String>("\"a\""), "\"a\"");
    assert_eq!(told::<String>(""), "Path: it takes one argument, and there is none");
    assert_eq!(told::<Wrapped>("5"), "Wrapped(5)");
    assert_eq!(told::<Option<i64>>(""), "None");
    assert_eq!(told::<Option<i64>>("5"), "Some(5)");
    assert_eq!(told::<Vec<i64>>("1, 2, 3"), "[1, 2, 3]");
    assert_eq!(told::<Vec<i64>>("1, \"2\""), "Position(1): i64 is taken, and this is string \"2\"");
    assert_eq!(told::<BTreeMap<String, Vec<u8>>>("a=[1], b=[]"), "{\"a\": [1], \"b\": []}");
    assert_eq!(
        told::<(serde_json::Value,)>("{\"a\": [1, 2.5, None, True]}"),
        "(Object {\"a\": Array [Number(1), Number(2.5), Null, Bool(true)]},)"
    );
}
