use proptest::prelude::*;

use super::{Argument, Call};

#[test]
fn the_notation_of_the_seed_and_all_kinds_of_values() {
    let rows = [
        (r#"test.main.Test("kinit", 1314, True)"#, r#"test.main.Test("kinit", 1314, True)"#),
        ("  a . b()", "error 4..5: `.` stands where `(` and the arguments is due"),
        ("a.B()", "a.B()"),
        (" a.B( ) ", "a.B()"),
        ("a.B('it\\'s', \"\\x41\\u00e9\\U0001f600\\n\",)", "a.B(\"it's\", \"Aé😀\\n\")"),
        ("B(-1, +2, 0, 9223372036854775808)", "B(-1, 2, 0, 9223372036854775808)"),
        ("B(1e3, -2.5E-3, .5, 5., 1e300)", "B(1000.0, -0.0025, 0.5, 5.0, 1e300)"),
        (
            "B(None, False, [1, [2,],], {'a': {}, \"b\": None,})",
            "B(None, False, [1, [2]], {\"a\": {}, \"b\": None})",
        ),
        ("B(1, n = 2,\n  lang='zh')", "B(1, n=2, lang=\"zh\")"),
        ("B(1", "error 3..3: the call ends where `,` or `)` is due"),
        ("B(1 2)", "error 4..5: `2` stands where `,` or `)` is due"),
        ("B(,)", "error 2..3: `,` stands where a value is due"),
        ("B() x", "error 4..5: nothing may follow the call"),
        ("B", "error 1..1: the call ends where `(` and the arguments is due"),
        ("B(true)", "error 2..6: `true` is not a value"),
        ("B(sales)", "error 2..7: `sales` is not a value"),
        ("B(n=1, 2)", "error 7..8: an argument without a name stands behind one with a name"),
        ("B(n=1, n=2)", "error 7..9: `n` is given twice"),
        ("B({'a': 1, 'a': 2})", "error 11..14: this key stands twice in one map"),
        ("B({a: 1})", "error 3..4: `a` stands where a key in quotes is due"),
        ("B(007)", "error 2..5: `007` begins with a zero, which numbers do not"),
        ("B(12ab)", "error 2..6: `12ab` is not a number"),
        ("B(1e999)", "error 2..7: `1e999` is too large for a float"),
        ("B('a)", "error 2..5: this text has no closing quote on its line"),
        ("B('\\q')", "error 3..5: `\\q` is not an escape"),
        ("B('\\ud800')", "error 3..9: `\\ud800` is not a character"),
        (".B()", "error 0..1: `.` stands where a name of the class's path is due"),
        ("a..B()", "error 2..3: `.` stands where a name of the class's path is due"),
        ("", "error 0..0: the call ends where a name of the class's path is due"),
    ];
    for (text, expected) in rows {
        let told = match Call::parse(text) {
            Ok(call) => call.to_string(),
            Err(error) => {
                format!("error {}..{}: {}", error.at.start, error.at.end, error.message)
            }
        };
        assert_eq!(told, expected, "{text:?}");
    }
}

#[test]
fn depth_and_numbers_are_bounded() {
    let deep = format!("B({}{})", "[".repeat(1000), "]".repeat(1000));
    let many = format!("B({})", "1,".repeat(1001));
    let large = format!("B({})", "9".repeat(60));
    let told = [deep, many, large].map(|text| Call::parse(&text).unwrap_err().message);
    assert_eq!(
        told,
        [
            "lists and maps are nested 16 deep at most",
            "a call has 1000 values at most",
            "this number is beyond 128 bits",
        ]
    );
}

fn argument() -> impl Strategy<Value = Argument> {
    let leaf = prop_oneof![
        Just(Argument::None),
        any::<bool>().prop_map(Argument::Bool),
        any::<i128>().prop_map(Argument::Integer),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Argument::Float),
        any::<String>().prop_map(Argument::Text),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Argument::List),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Argument::Map(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_normal_form_reads_back(
        path in "[a-z_]{1,5}(\\.[A-Za-z0-9_]{0}[A-Z][a-z0-9]{0,4}){0,3}",
        args in prop::collection::vec(argument(), 0..4),
        kwargs in prop::collection::btree_map("[a-z_][a-z0-9_]{0,5}", argument(), 0..3),
    ) {
        let call = Call { path, args, kwargs: kwargs.into_iter().collect() };
        prop_assert_eq!(Call::parse(&call.to_string()), Ok(call));
    }
}
