use serde_json::{Value, json};

use super::*;

fn kind(word: &str, bounds: &Value) -> ParamKind {
    let number = |key: &str| bounds.get(key).and_then(Value::as_f64);
    let whole = |key: &str| bounds.get(key).and_then(Value::as_i64);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match word {
        "string" => ParamKind::String {
            pattern: bounds
                .get("pattern")
                .and_then(text)
                .map(|text| Pattern::parse(&text).unwrap()),
        },
        "integer" => ParamKind::Integer { min: whole("min"), max: whole("max") },
        "number" => ParamKind::Number { min: number("min"), max: number("max") },
        "boolean" => ParamKind::Boolean,
        "date" => ParamKind::Date,
        "choice" => ParamKind::Choice {
            options: bounds["options"].as_array().unwrap().iter().filter_map(text).collect(),
        },
        other => panic!("{other}"),
    }
}

#[test]
fn a_value_is_taken_as_its_kind_or_it_is_said_why_not() {
    let none = json!({});
    #[rustfmt::skip]
    let table = [
        ("string", &none, json!("a b"), "a b"),
        ("string", &none, json!(""), ""),
        ("string", &none, json!(5), "is not a text"),
        ("string", &none, json!("a\0b"), "holds a zero byte"),
        ("string", &json!({ "pattern": "^[a-z_]+$" }), json!("shop"), "shop"),
        ("string", &json!({ "pattern": "^[a-z_]+$" }), json!("Shop"), "does not match `^[a-z_]+$`"),
        ("integer", &none, json!(5), "5"),
        ("integer", &none, json!("-5"), "-5"),
        ("integer", &none, json!("+5"), "5"),
        ("integer", &none, json!(5.0), "is not a whole number of 64 bits"),
        ("integer", &none, json!("5 "), "is not a whole number of 64 bits"),
        ("integer", &none, json!(u64::MAX), "is not a whole number of 64 bits"),
        ("integer", &json!({ "min": 1, "max": 9 }), json!(0), "is less than 1"),
        ("integer", &json!({ "min": 1, "max": 9 }), json!("10"), "is more than 9"),
        ("integer", &json!({ "min": 1, "max": 9 }), json!(9), "9"),
        ("number", &none, json!(0.5), "0.5"),
        ("number", &none, json!("1e3"), "1000"),
        ("number", &none, json!("inf"), "is not a number"),
        ("number", &none, json!("NaN"), "is not a number"),
        ("number", &json!({ "min": 0.5 }), json!(0), "is less than 0.5"),
        ("boolean", &none, json!(true), "true"),
        ("boolean", &none, json!("false"), "false"),
        ("boolean", &none, json!("yes"), "is not `true` or `false`"),
        ("date", &none, json!("2026-02-28"), "2026-02-28"),
        ("date", &none, json!("2026-02-29"), "is not a day as in `2026-01-31`, `today` or `yesterday`"),
        ("date", &none, json!("2026-2-8"), "is not a day as in `2026-01-31`, `today` or `yesterday`"),
        ("date", &none, json!("yesterday"), "yesterday"),
        ("choice", &json!({ "options": ["full", "delta"] }), json!("full"), "full"),
        ("choice", &json!({ "options": ["full", "delta"] }), json!("half"), "is not one of `full`, `delta`"),
        ("boolean", &none, json!(null), "is not `true` or `false`"),
        ("string", &none, json!(["a"]), "is not a text"),
    ];
    for (word, bounds, value, expected) in table {
        let told = kind(word, bounds).check(&value).unwrap_or_else(|why| why.to_string());
        assert_eq!(told, expected, "{word} {value}");
    }
    let long = json!("x".repeat(VALUE_BYTES_MAX + 1));
    assert_eq!(kind("string", &none).check(&long), Err(Misvalue::Long));
}

fn params(zone: &str) -> Params {
    let param = |kind, absent| Param { kind, absent, description: None };
    Params {
        declared: [
            ("day", param(ParamKind::Date, Absent::Default("yesterday".to_owned()))),
            ("rows", param(kind("integer", &json!({})), Absent::Allowed)),
            ("shop", param(kind("string", &json!({})), Absent::Refused)),
        ]
        .map(|(name, param)| (name.to_owned(), param))
        .into(),
        zone: Zone::load(zone).unwrap(),
    }
}

fn given(values: &Value) -> BTreeMap<String, Value> {
    serde_json::from_value(values.clone()).unwrap()
}

#[test]
fn names_that_are_not_declared_and_values_that_are_missing_are_told() {
    let params = params("UTC");
    let told = |values: &Value| match params.check(&given(values)) {
        Err(error) => error.to_string(),
        Ok(values) => params.missing(&values).map_or(format!("{values:?}"), |e| e.to_string()),
    };
    assert_eq!(told(&json!({ "shop": "a" })), r#"{"shop": "a"}"#);
    assert_eq!(told(&json!({ "rows": 5 })), "the parameter `shop` must be given");
    assert_eq!(told(&json!({ "shop": 5 })), "the parameter `shop` is not a text");
    assert_eq!(told(&json!({ "shp": "a" })), "there is no parameter `shp`");
    let unknown = params.check(&given(&json!({ "shp": "a" })));
    assert!(matches!(unknown, Err(ParamError::Unknown { near: Some(near), .. }) if near == "shop"));
}

#[test]
fn a_day_is_counted_from_when_the_execution_was_due_where_its_clock_is() {
    let at: Timestamp = "2026-03-01T18:30:00Z".parse().unwrap();
    let days = |zone: &str, day: &str| {
        let params = params(zone);
        let mut given = ParamValues::from([("shop".to_owned(), "a".to_owned())]);
        if !day.is_empty() {
            given.insert("day".to_owned(), day.to_owned());
        }
        let values = params.values(&given, at, &params.zone);
        assert_eq!(values.keys().collect::<Vec<_>>(), ["day", "shop"]);
        values["day"].clone()
    };
    assert_eq!(days("UTC", ""), "2026-02-28");
    assert_eq!(days("Asia/Shanghai", ""), "2026-03-01");
    assert_eq!(days("Asia/Shanghai", "today"), "2026-03-02");
    assert_eq!(days("UTC", "2025-12-31"), "2025-12-31");
}

#[test]
fn what_an_edit_took_away_is_not_passed_on() {
    let given = ParamValues::from([("gone".to_owned(), "a".to_owned())]);
    let at: Timestamp = "2026-03-01T18:30:00Z".parse().unwrap();
    assert!(!params("UTC").values(&given, at, &Zone::utc()).contains_key("gone"));
}
